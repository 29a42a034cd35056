/** Where notifications appear. What shows them is loaded at the first touch of the page, and so is there before it is needed. */
import { type ComponentType, useEffect, useState } from 'react';
import { loadNotifications } from '@/ui/told';

const TOUCHES = ['pointerdown', 'keydown', 'click']; // a screen reader may give nothing but a click

export function Corner() {
  const [Notifications, setNotifications] = useState<ComponentType<{ position: 'bottom-right' }>>();
  useEffect(() => {
    if (Notifications) return;
    const load = () =>
      void loadNotifications().then(
        (module) => setNotifications(() => module.Notifications),
        () => undefined, // the next touch tries again
      );
    for (const touch of TOUCHES) window.addEventListener(touch, load);
    return () => {
      for (const touch of TOUCHES) window.removeEventListener(touch, load);
    };
  }, [Notifications]);
  return Notifications && <Notifications position="bottom-right" />;
}
