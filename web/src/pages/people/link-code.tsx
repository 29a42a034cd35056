/** A code that says to a bot who one is. That it was said is seen when one comes back to the page, or says so. */
import { Button } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { api, asProblem, type LinkView, listLinksOptions, listOwnBotsOptions } from '@/api';
import { networkWord } from '@/pages/channels/kinds';
import { FormProblem } from '@/ui/form';
import { Command } from '@/ui/small';
import { duration, useNow } from '@/ui/time';
import { told } from '@/ui/told';
import { useFreshLinks } from './chat';
import { added, leftOf } from './links';
import classes from './people.module.css';

export function LinkCode({ onDone }: { onDone: () => void }) {
  const make = useMutation({ mutationFn: () => api.makeLinkCode(), onError: () => {} });
  const { mutate } = make;
  useEffect(() => mutate(), [mutate]);
  useLinked(onDone);
  if (make.isError) return <FormProblem problem={asProblem(make.error).problem} />;
  if (!make.data) return null;
  return <Code code={make.data.data.code} expiresAt={make.data.data.expires_at} again={() => mutate()} />;
}

/** Say it, and call `onDone`, when there is a link that was not there at first. */
function useLinked(onDone: () => void) {
  const links = useQuery(listLinksOptions()).data;
  const before = useRef<LinkView[] | undefined>(undefined);
  useEffect(() => {
    if (!links) return;
    before.current ??= links;
    const [link] = added(before.current, links);
    if (!link) return;
    told(`You are ${link.sender} on ${networkWord(link.network)}`);
    onDone();
  }, [links, onDone]);
}

/** By what name one finds the bots, each on its network. */
function WhichBot() {
  const bots = useQuery(listOwnBotsOptions()).data;
  if (!bots) return null;
  if (bots.length === 0) return <p>There is no bot yet: an admin of the server adds one.</p>;
  return (
    <ul className={classes.bots} aria-label="Bots">
      {bots.map(({ name, network, called }) => (
        <li key={name}>
          <strong>{called || name}</strong> on {networkWord(network)}
        </li>
      ))}
    </ul>
  );
}

function Code({ code, expiresAt, again }: { code: string; expiresAt: number; again: () => void }) {
  const left = leftOf(expiresAt, useNow());
  const freshen = useFreshLinks();
  const [looked, setLooked] = useState(false);
  if (left === 0) {
    return (
      <>
        <p>The code is over.</p>
        <Button variant="default" onClick={again}>
          Make another one
        </Button>
      </>
    );
  }
  return (
    <>
      <p className={classes.say}>Send this to the bot, in a direct message, where nobody else reads it:</p>
      <Command>{`link ${code}`}</Command>
      <WhichBot />
      <p className="faint">
        It works once, for another <span className="numbers">{duration(left)}</span>. Whoever says it is you from then
        on.
      </p>
      <Button variant="default" onClick={() => void freshen().then(() => setLooked(true))}>
        I have sent it
      </Button>
      <p role="status" className="faint">
        {looked && 'Nobody has said the code to a bot yet. The bot answers when it has taken it.'}
      </p>
    </>
  );
}
