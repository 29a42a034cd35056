import { notifications } from '@mantine/notifications';

/** Say that something was done, and be gone soon: what went well needs no answer. */
export function told(message: string) {
  notifications.show({ message, color: 'gray', autoClose: 2500, withCloseButton: false });
}
