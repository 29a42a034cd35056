/** What is said in the corner of the page, and gone soon. */
import type { NotificationData } from '@mantine/notifications';

/** Load what shows it: a part of its own, for a page has nothing to tell before somebody does something (app/corner.tsx). */
export const loadNotifications = () => import('./notifications');

export function notify(what: NotificationData) {
  void loadNotifications().then(
    ({ notifications }) => notifications.show(what),
    () => undefined, // the server is away, and the shell says so
  );
}

/** Say that something was done, and be gone soon: what went well needs no answer. */
export function told(message: string) {
  notify({ message, color: 'gray', autoClose: 2500, withCloseButton: false });
}
