import { useSearch } from '@tanstack/react-router';
import { Channels } from '@/pages/channels/channels';

/** How one is told oneself. */
export function Notifications() {
  const { channel } = useSearch({ from: '/shell/account' });
  return (
    <Channels
      project={undefined}
      chosen={channel}
      about="How you are told what happens in the projects in which you have a role."
    />
  );
}
