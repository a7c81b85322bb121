import type { ComponentChildren } from 'preact';
import type { EventDocument } from '../api/types.ts';
import { formatCount } from '../lib/format.ts';
import { Card, MaybeLink } from './bits.tsx';
import { JsonTree } from './JsonTree.tsx';

/** Who, where and with what; only what is known. */
export function Context({ event, data }: { event: EventDocument; data: Record<string, unknown> }) {
  const text = (key: string) => (typeof data[key] === 'string' ? data[key] : '');
  const handled = typeof data['handled'] === 'boolean' ? `, ${data['handled'] ? 'handled' : 'not handled'}` : '';
  const { weight = 1 } = event;
  const contexts = data['contexts'];
  const tags = event.tags !== null && typeof event.tags === 'object' ? Object.entries(event.tags) : [];
  return (
    <Card title="Context">
      <div class="context">
        <Group title="Page">
          <Fact label="Address" value={event.url && <MaybeLink text={event.url} />} />
          <Fact label="Route" value={event.route} />
          <Fact label="Title" value={event.title} />
          <Fact label="Referrer" value={event.referrer && <MaybeLink text={event.referrer} />} />
          <Fact label="Target" value={event.target && <MaybeLink text={event.target} />} />
        </Group>
        <Group title="Device">
          <Fact label="Browser" value={join(event.browser, event.browser_version)} />
          <Fact label="System" value={join(event.os, event.os_version)} />
          <Fact label="Device" value={event.device} />
          <Fact label="Screen" value={event.screen && `${event.screen}${event.viewport ? ` (viewport ${event.viewport})` : ''}`} />
          <Fact label="Language" value={event.language} />
          <Fact label="Time zone" value={event.timezone} />
          <Fact label="Country" value={event.country} />
          <Fact label="Connection" value={event.connection} />
        </Group>
        <Group title="Who and what">
          <Fact label="User" value={event.user} />
          <Fact label="Visitor" value={event.visitor} />
          <Fact label="Session" value={event.session} />
          <Fact label="Release" value={event.release} />
          <Fact label="Environment" value={event.environment} />
          <Fact label="Caught by" value={text('mechanism') && text('mechanism') + handled} />
          <Fact label="Component" value={text('component')} />
          <Fact label="During" value={text('info')} />
          <Fact label="Stands for" value={weight !== 1 && `${formatCount(weight)} events${data['folded'] === true ? ', repeats of one that came before' : ''}`} />
          <Fact label="Event" value={event.id} />
        </Group>
        {tags.length > 0 && <Group title="Tags">{tags.map(([name, value]) => <Fact key={name} label={name} value={typeof value === 'string' ? value : JSON.stringify(value)} />)}</Group>}
      </div>
      {contexts !== null && typeof contexts === 'object' && Object.keys(contexts).length > 0 && <div class="json"><JsonTree name="contexts" value={contexts} open /></div>}
    </Card>
  );
}

const join = (name: string, version: string) => [name, version].filter(Boolean).join(' ');

function Group({ title, children }: { title: string; children: ComponentChildren }) {
  return <div class="context-group"><h3>{title}</h3><dl>{children}</dl></div>;
}

function Fact({ label, value }: { label: string; value: ComponentChildren }) {
  return value ? <div class="context-fact"><dt>{label}</dt><dd>{value}</dd></div> : null;
}
