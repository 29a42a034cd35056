/** What is around every page: where one can go, who one is, and whether news arrive. */
import { ActionIcon, Burger, Menu, Tooltip, useMantineColorScheme } from '@mantine/core';
import { useDisclosure, useMediaQuery } from '@mantine/hooks';
import {
  IconActivity,
  IconBooks,
  IconHistory,
  IconListCheck,
  IconLogin2,
  IconLogout,
  IconMessageChatbot,
  IconMoon,
  IconServer2,
  IconSun,
  IconTimeline,
  IconUser,
  IconUsers,
} from '@tabler/icons-react';
import { useMutation, useQuery } from '@tanstack/react-query';
import { Link, Outlet, useLocation, useNavigate, useRouter } from '@tanstack/react-router';
import { lazy, type ReactNode, Suspense, useEffect, useState } from 'react';
import { api, listProjectsOptions } from '@/api';
import { useLive, useLiveState } from '@/api/live';
import { StateLabel } from '@/ui/states';
import { useLasting } from '@/ui/time';
import { Goto } from './goto';
import { Mark } from './mark';
import { useChangedRights, useFreshStart, useLoginIsOver, useMay, useMe } from './session';
import classes from './shell.module.css';

const SideDrawer = lazy(() => import('./drawer'));

export function Shell() {
  useLive();
  useChangedRights();
  const me = useMe();
  const narrow = useMediaQuery('(max-width: 48em)');
  const stranger = useStranger();
  if (!me || stranger) return null;
  return (
    <div className={classes.shell}>
      <a href="#main" className={classes.skip}>
        Skip to the page
      </a>
      {narrow ? <Top /> : <Side />}
      <main id="main" className={classes.main} tabIndex={-1}>
        {!narrow && <Connection />}
        <Outlet />
      </main>
    </div>
  );
}

/**
 * Whether this is somebody whose login is over, or somebody unknown where nothing is open to all: such a one is sent to log
 * in, and then back.
 */
function useStranger(): boolean {
  const me = useMe();
  const over = useLoginIsOver();
  const navigate = useNavigate();
  const router = useRouter();
  const anonymous = me?.kind === 'anonymous';
  const open = useQuery({ ...listProjectsOptions(), enabled: anonymous });
  const stranger = over || (anonymous && open.data?.length === 0);
  useEffect(() => {
    if (stranger) void navigate({ to: '/login', search: { next: router.state.location.href }, replace: true });
  }, [stranger, navigate, router]);
  return stranger;
}

function Brand() {
  return (
    <Link to="/" className={classes.brand}>
      <Mark /> flow
    </Link>
  );
}

function Side() {
  return (
    <div className={classes.side}>
      <Brand />
      <Goto />
      <Places />
    </div>
  );
}

/** The same on a narrow screen: a bar, and the places behind a button. */
function Top() {
  const location = useLocation();
  const [opened, menu] = useDisclosure();
  const [wanted, setWanted] = useState(false); // from then on the drawer stays: it also slides out
  if (opened && !wanted) setWanted(true);
  // biome-ignore lint/correctness/useExhaustiveDependencies: any change of the place closes the menu
  useEffect(menu.close, [location.pathname]);
  return (
    <>
      <header className={classes.top}>
        <Burger size="sm" opened={opened} onClick={menu.toggle} aria-label="Menu" />
        <Brand />
        <Connection />
        <Goto compact />
      </header>
      {wanted && (
        <Suspense fallback={null}>
          <SideDrawer opened={opened} onClose={menu.close}>
            <Places />
          </SideDrawer>
        </Suspense>
      )}
    </>
  );
}

function Places() {
  const may = useMay();
  return (
    <nav className={classes.places} aria-label="Main">
      <Place to="/" icon={<IconActivity size={17} stroke={1.7} />} label="Pipelines" exact />
      <Place to="/runs" icon={<IconHistory size={17} stroke={1.7} />} label="Runs" />
      <Place to="/queue" icon={<IconListCheck size={17} stroke={1.7} />} label="Queue" />
      <Place to="/projects" icon={<IconBooks size={17} stroke={1.7} />} label="Projects" />
      {may('runner.read') && <Place to="/runners" icon={<IconServer2 size={17} stroke={1.7} />} label="Runners" />}
      {may('user.read') && <Place to="/users" icon={<IconUsers size={17} stroke={1.7} />} label="Users" />}
      {may('bot.register') && <Place to="/bots" icon={<IconMessageChatbot size={17} stroke={1.7} />} label="Bots" />}
      {may('audit.read') && <Place to="/audit" icon={<IconTimeline size={17} stroke={1.7} />} label="Audit" />}
      <span className={classes.rest} />
      <Person />
    </nav>
  );
}

function Place({ to, icon, label, exact = false }: { to: string; icon: ReactNode; label: string; exact?: boolean }) {
  return (
    <Link to={to} className={classes.place} activeOptions={{ exact, includeSearch: false }}>
      {icon}
      {label}
    </Link>
  );
}

function Person() {
  const me = useMe();
  const freshStart = useFreshStart();
  const navigate = useNavigate();
  const location = useLocation();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const dark = document.documentElement.dataset.mantineColorScheme === 'dark' || colorScheme === 'dark';
  const logout = useMutation({
    mutationFn: () => api.logout(),
    onSuccess: async () => {
      freshStart();
      await navigate({ to: '/login' });
    },
  });
  return (
    <div className={classes.person}>
      {me && me.kind !== 'anonymous' ? (
        <Menu position="top-start" width={200}>
          <Menu.Target>
            <button type="button" className={classes.place}>
              <IconUser size={17} stroke={1.7} />
              <span className={classes.name}>{me.name}</span>
            </button>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item renderRoot={(props) => <Link to="/account" {...props} />} leftSection={<IconUser size={15} />}>
              Account and tokens
            </Menu.Item>
            <Menu.Item leftSection={<IconLogout size={15} />} onClick={() => logout.mutate()}>
              Log out
            </Menu.Item>
          </Menu.Dropdown>
        </Menu>
      ) : (
        <Link to="/login" search={{ next: location.href }} className={classes.place}>
          <IconLogin2 size={17} stroke={1.7} /> Log in
        </Link>
      )}
      <Tooltip label={dark ? 'Light' : 'Dark'}>
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={dark ? 'Light colours' : 'Dark colours'}
          onClick={() => setColorScheme(dark ? 'light' : 'dark')}
        >
          {dark ? <IconSun size={16} /> : <IconMoon size={16} />}
        </ActionIcon>
      </Tooltip>
    </div>
  );
}

/** Says that what is on the screen may be old; nothing while all is well. */
function Connection() {
  const away = useLasting(useLiveState() === 'away', 2500);
  return (
    <div className={classes.connection} role="status">
      {away && <StateLabel look="errored" word="No connection: trying again" />}
    </div>
  );
}
