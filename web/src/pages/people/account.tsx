import { useSearch } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { useMay, useMe } from '@/app/session';
import { Page } from '@/ui/page';
import { Empty } from '@/ui/panels';
import { type Tab, TabLinks } from '@/ui/tabs';
import { Chat } from './chat';
import { Logins } from './logins';
import { Notifications } from './notifications';
import { Profile } from './profile';
import { Tokens } from './tokens';

const TABS: Tab[] = [
  { value: 'profile', label: 'Profile' },
  { value: 'logins', label: 'Logins' },
  { value: 'chat', label: 'Chat' },
  { value: 'notifications', label: 'Notifications' },
  { value: 'tokens', label: 'API tokens' },
];

const PARTS: Record<string, () => ReactNode> = {
  profile: Profile,
  logins: Logins,
  chat: Chat,
  notifications: Notifications,
  tokens: Tokens,
};

/** What is one's own on the server. */
export function Account() {
  const { tab = 'profile' } = useSearch({ from: '/shell/account' });
  const me = useMe();
  const may = useMay();
  const Part = PARTS[tab] ?? Profile;
  if (!may('token.own')) {
    return (
      <Page title="Account">
        <Empty title="You are not logged in">Log in to see your account.</Empty>
      </Page>
    );
  }
  return (
    <Page title={me?.name ?? 'Account'}>
      <TabLinks tabs={TABS} value={tab in PARTS ? tab : 'profile'} label="Parts of the account" />
      <Part />
    </Page>
  );
}
