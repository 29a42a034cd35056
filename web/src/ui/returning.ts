import { useEffect } from 'react';

/** Call `look` when somebody comes back to the page: what they did elsewhere may show on it. */
export function useReturning(look: () => unknown) {
  useEffect(() => {
    const back = () => {
      if (document.visibilityState === 'visible') look();
    };
    window.addEventListener('focus', back);
    document.addEventListener('visibilitychange', back);
    return () => {
      window.removeEventListener('focus', back);
      document.removeEventListener('visibilitychange', back);
    };
  }, [look]);
}
