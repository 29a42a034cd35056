/** What slides in from the side of a narrow screen. A part of its own: the first page of a wide one needs no dialogs. */
import { Drawer } from '@mantine/core';
import type { ReactNode } from 'react';

export default function SideDrawer(props: { opened: boolean; onClose: () => void; children: ReactNode }) {
  return <Drawer {...props} size={240} withCloseButton={false} padding={0} aria-label="Menu" />;
}
