import type { ComponentChildren } from 'preact';
import type { EventDocument } from '../api/types.ts';
import { t } from '../i18n/errors.ts';
import { Card, MaybeLink } from './bits.tsx';
import { JsonTree } from './JsonTree.tsx';
import { SessionLink } from './SessionLink.tsx';

/** Who, where and with what; only what is known. */
export function Context({ event, data }: { event: EventDocument; data: Record<string, unknown> }) {
  const text = (key: string) => (typeof data[key] === 'string' ? data[key] : '');
  const handled = typeof data['handled'] === 'boolean' ? `, ${data['handled'] ? t('handled') : t('notHandled')}` : '';
  const { weight = 1 } = event;
  const contexts = data['contexts'];
  const tags = event.tags !== null && typeof event.tags === 'object' ? Object.entries(event.tags) : [];
  return (
    <Card title={t('context')}>
      <div class="context">
        <Group title={t('page')}>
          <Fact label={t('address')} value={event.url && <MaybeLink text={event.url} />} />
          <Fact label={t('route')} value={event.route} />
          <Fact label={t('title')} value={event.title} />
          <Fact label={t('referrer')} value={event.referrer && <MaybeLink text={event.referrer} />} />
          <Fact label={t('target')} value={event.target && <MaybeLink text={event.target} />} />
        </Group>
        <Group title={t('device')}>
          <Fact label={t('browser')} value={join(event.browser, event.browser_version)} />
          <Fact label={t('os')} value={join(event.os, event.os_version)} />
          <Fact label={t('device')} value={event.device} />
          <Fact label={t('screen')} value={event.screen && `${event.screen}${event.viewport ? ` (${t('viewport', { size: event.viewport })})` : ''}`} />
          <Fact label={t('language')} value={event.language} />
          <Fact label={t('timezone')} value={event.timezone} />
          <Fact label={t('country')} value={event.country} />
          <Fact label={t('connection')} value={event.connection} />
        </Group>
        <Group title={t('who')}>
          <Fact label={t('user')} value={event.user} />
          <Fact label={t('visitor')} value={event.visitor} />
          <Fact label={t('session')} value={event.session && <SessionLink session={event.session} time={event.time}>{event.session}</SessionLink>} />
          <Fact label={t('release')} value={event.release} />
          <Fact label={t('environment')} value={event.environment} />
          <Fact label={t('caughtBy')} value={text('mechanism') && text('mechanism') + handled} />
          <Fact label={t('component')} value={text('component')} />
          <Fact label={t('during')} value={text('info')} />
          <Fact label={t('stands')} value={weight !== 1 && t('standsEvents', { n: Math.round(weight) }) + (data['folded'] === true ? t('repeats') : '')} />
          <Fact label={t('event')} value={event.id} />
        </Group>
        {tags.length > 0 && <Group title={t('tags')}>{tags.map(([name, value]) => <Fact key={name} label={name} value={typeof value === 'string' ? value : JSON.stringify(value)} />)}</Group>}
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
