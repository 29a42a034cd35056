/** Add a channel, or change one: where it leads, what it is told, and when. */
import { Checkbox, Select, TagsInput, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { type ChannelKind, type ChannelView, getAccountOptions, listLinksOptions } from '@/api';
import { Beside, Fields, FormButtons, FormProblem } from '@/ui/form';
import { type ApiForm, useApiForm } from '@/ui/forms';
import { ownZone } from '@/ui/zones';
import classes from './channels.module.css';
import { EVENTS } from './events';
import { isChat, KIND_NAMES, KINDS } from './kinds';
import { type Owner, useChannelActs } from './owner';
import { asksTarget, canMention, newChannel, patchOf, type Values, valuesOf } from './values';
import { When } from './when';

interface ChannelFormProps {
  project: Owner;
  /** The one that is changed; none: a new one. */
  channel?: ChannelView;
  onDone: (channel: ChannelView) => unknown;
  onCancel: () => void;
}

export function ChannelForm({ project, channel, onDone, onCancel }: ChannelFormProps) {
  const { add, change } = useChannelActs(project);
  const own = project === undefined;
  const form = useApiForm<Values, { data: ChannelView }>({
    initialValues: valuesOf(channel, 'email', ownZone()),
    validate: { on: (on) => (on.length > 0 ? null : 'It needs one at least; to be told nothing, disable it') },
    send: (values) => (channel ? change(channel.name, patchOf(values, own)) : add(newChannel(values, own))),
    onDone: ({ data }) => onDone(data),
  });
  return (
    <form onSubmit={form.submit} noValidate>
      <Fields>
        <Where form={form} own={own} channel={channel} />
        <What form={form} own={own} />
        <Part title="When">
          <When form={form} />
        </Part>
        <FormProblem problem={form.problem} />
        <FormButtons label={channel ? 'Save' : 'Add the channel'} sending={form.sending} onCancel={onCancel} />
      </Fields>
    </form>
  );
}

/** Fields that belong together, below a line. */
function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <fieldset className={classes.part}>
      <legend>{title}</legend>
      {children}
    </fieldset>
  );
}

interface PartProps {
  form: ApiForm<Values>;
  own: boolean;
}

function Where({ form, own, channel }: PartProps & { channel: ChannelView | undefined }) {
  const { kind } = form.form.values;
  const { target, own: ownWords } = KINDS[kind];
  const kept = channel?.kind === 'webhook' ? `Empty: it stays ${channel.target}. ` : '';
  return (
    <>
      {!channel && (
        <Beside>
          <KindField form={form} own={own} />
          <TextInput
            label="Name"
            description={own ? 'What you know it by.' : 'A pipeline file names it by notify.'}
            placeholder={own ? 'me' : 'team'}
            required
            data-autofocus
            autoComplete="off"
            {...form.field('name')}
          />
        </Beside>
      )}
      {asksTarget(kind, own) ? (
        <TextInput
          label={target.label}
          description={kept + target.hint}
          placeholder={target.example}
          required={!kept}
          autoComplete="off"
          spellCheck={false}
          {...form.field('target')}
        />
      ) : (
        <p className={classes.own}>{kind === 'email' ? <OwnAddress /> : ownWords}</p>
      )}
    </>
  );
}

function OwnAddress() {
  const account = useQuery(getAccountOptions()).data;
  if (account?.email !== '') return `It goes to ${account?.email ?? 'the address of your account'}.`;
  return (
    <>
      Your account has no e-mail address yet:{' '}
      <Link to="/account" search={{ tab: 'profile' }}>
        add it to your profile
      </Link>
      .
    </>
  );
}

/** One's own chat needs to be linked first: the bot would not know whom to write to. */
function KindField({ form, own }: PartProps) {
  const links = useQuery({ ...listLinksOptions(), enabled: own }).data ?? [];
  const unlinked = (kind: ChannelKind) => own && isChat(kind) && !links.some((link) => link.network === kind);
  return (
    <Select
      label="Way"
      description={own ? 'Chats that you linked, e-mail or a webhook.' : 'How they are told.'}
      data={KIND_NAMES.map((kind) => ({
        value: kind,
        label: unlinked(kind) ? `${KINDS[kind].label}: not linked` : KINDS[kind].label,
        disabled: unlinked(kind),
      }))}
      allowDeselect={false}
      comboboxProps={{ withinPortal: false }}
      {...form.field('kind')}
    />
  );
}

function What({ form, own }: PartProps) {
  const { kind } = form.form.values;
  return (
    <Part title="What it is told">
      <Checkbox.Group label="Events" {...form.field('on')}>
        <div className={classes.events}>
          {EVENTS.map(({ value, label, about }) => (
            <Checkbox key={value} value={value} label={label} description={about} />
          ))}
        </div>
      </Checkbox.Group>
      <Beside>
        <Patterns label="Pipelines" placeholder="release" {...form.field('pipelines')} />
        <Patterns label="Branches" placeholder="release/*" {...form.field('branches')} />
      </Beside>
      {own && (
        <Checkbox
          label="Only my runs"
          description="Those that I began, and those whose commit is mine by its e-mail address."
          {...form.field('mine', 'checkbox')}
        />
      )}
      {canMention(kind, own) && (
        <Checkbox
          label="Call the author by name"
          description="On failures only, when the author of the commit is linked on this network."
          {...form.field('mention', 'checkbox')}
        />
      )}
    </Part>
  );
}

type PatternsProps = ReturnType<ApiForm<Values>['field']> & { label: string; placeholder: string };

function Patterns({ placeholder, ...field }: PatternsProps) {
  const none = (field.value as string[]).length === 0;
  return (
    <TagsInput
      description="Names or patterns with *; none: all."
      placeholder={none ? placeholder : undefined}
      splitChars={[',', ' ']}
      maxTags={50}
      acceptValueOnBlur
      comboboxProps={{ withinPortal: false }}
      {...field}
    />
  );
}
