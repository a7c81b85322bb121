import {afterAll, beforeAll, expect, test} from 'vitest';
import {startScene, type Scene, type StoredEvent, type Visit} from './receiver.js';

let scene: Scene;
beforeAll(async () => {
  scene = await startScene();
});
afterAll(() => scene?.stop());

/** What the page said of an error, and who noticed it. */
const told = ({name, message, data}: StoredEvent): unknown[] => [name, message, data.mechanism, data.handled];

const press = (visit: Visit, ...names: string[]): Promise<void> =>
  names.reduce((before, name) => before.then(() => visit.page.getByRole('button', {name, exact: true}).click()), Promise.resolve());

const react = `
  import {Component, StrictMode, useEffect, useState} from 'react';
  import {createRoot, hydrateRoot} from 'react-dom/client';
  import {init} from '../../src/index.js';
  import {errors} from '../../src/integrations/errors.js';
  import {ErrorBoundary, reactErrorHandlers} from '../../src/react.js';

  init({dsn: MONITOR_DSN, release: RELEASE, integrations: [errors()]});

  function Crash({name}) {
    const [crashed, setCrashed] = useState(false);
    if (crashed) throw new TypeError(name + ' crashed');
    return <button onClick={() => setCrashed(true)}>{name}</button>;
  }
  function Late({name}) {
    const [crashed, setCrashed] = useState(false);
    useEffect(() => {
      if (crashed) throw new RangeError(name + ' crashed');
    }, [crashed]);
    return <button onClick={() => setCrashed(true)}>{name}</button>;
  }
  class Foreign extends Component {
    state = {};
    static getDerivedStateFromError = () => ({failed: true});
    render() {
      return this.state.failed ? <p>foreign fallback</p> : this.props.children;
    }
  }
  const Handler = () => <button onClick={() => { throw new Error('handler failed'); }}>handler</button>;
  const rethrow = ({error}) => { throw error; };
  const reset = ({error, reset}) => <button onClick={reset}>{'reset ' + error.message}</button>;`;

const roots = (handlers: string): string => `${react}
  addEventListener('DOMContentLoaded', () => {
    const root = (id) => createRoot(document.getElementById(id)${handlers});
    root('caught').render(
      <StrictMode>
        <ErrorBoundary fallback={<p>fallback</p>}><Crash name="boundary" /></ErrorBoundary>
        <ErrorBoundary fallback={<p>outer</p>}><ErrorBoundary fallback={<p>inner</p>}><Crash name="nested" /></ErrorBoundary></ErrorBoundary>
        <ErrorBoundary fallback={<p>outermost</p>}><ErrorBoundary fallback={rethrow}><Crash name="rethrown" /></ErrorBoundary></ErrorBoundary>
        <ErrorBoundary fallback={reset}><Late name="effect" /></ErrorBoundary>
        <Foreign><Crash name="foreign" /></Foreign>
        <Handler />
      </StrictMode>);
    root('uncaught').render(<StrictMode><Crash name="uncaught" /></StrictMode>);
    hydrateRoot(document.getElementById('server'), <p>client</p>${handlers});
  });`;

const body = '<div id="caught"></div><div id="uncaught"></div><div id="server"><p>server</p></div>';

test('in React 19 every error is stored once: of our boundaries, of others, of none, of handlers, of hydration', async () => {
  const visit = await scene.visit({script: roots(', reactErrorHandlers()'), body});
  await press(visit, 'boundary', 'nested', 'rethrown', 'effect', 'foreign', 'handler', 'uncaught');
  const text = await visit.page.locator('#caught').innerText();
  expect(text.split(/\s*\n\s*|(?=reset)/).filter(Boolean)).toEqual(['fallback', 'inner', 'outermost', 'reset effect crashed', 'foreign fallback', 'handler']);
  expect(await visit.page.locator('#uncaught').innerText()).toBe('');
  await press(visit, 'reset effect crashed');
  await visit.page.getByRole('button', {name: 'effect', exact: true}).waitFor();
  await visit.leave();

  const events = await scene.events(visit, {count: 8});
  expect(events.map(told)).toEqual([
    ['Error', expect.stringMatching(/hydrat|#418/i), 'react', true],
    ['TypeError', 'boundary crashed', 'react', true],
    ['TypeError', 'nested crashed', 'react', true],
    ['TypeError', 'rethrown crashed', 'react', true],
    ['RangeError', 'effect crashed', 'react', true],
    ['TypeError', 'foreign crashed', 'react', true],
    ['Error', 'handler failed', 'onerror', false],
    ['TypeError', 'uncaught crashed', 'react', false],
  ]);
  for (const {message, data} of events) {
    // Handlers run outside of the components; everything else knows where it was.
    if (message === 'handler failed') expect(data.component_stack).toBeUndefined();
    else expect(data.component_stack).toMatch(/^\s+at \w+ \(/);
    expect(data.stack).toContain(message);
  }
  // The page's own listeners still hear of what no boundary caught, as without us.
  expect(visit.problems).toEqual([expect.stringMatching(/hydrat|#418/i), 'Error: handler failed', 'TypeError: uncaught crashed']);
  expect(visit.console.filter((line) => line.startsWith('error: ') && line.includes('crashed'))).toHaveLength(5);
});

test('without the handlers of the root, boundaries capture, and what nobody caught comes from the window', async () => {
  const visit = await scene.visit({script: roots(''), body});
  await press(visit, 'boundary', 'uncaught');
  await visit.leave();
  const events = await scene.events(visit, {count: 3});
  expect(events.map(told)).toEqual([
    ['Error', expect.stringMatching(/hydrat|#418/i), 'onerror', false],
    ['TypeError', 'boundary crashed', 'react', true],
    ['TypeError', 'uncaught crashed', 'onerror', false],
  ]);
});

const vue = `
  import {createApp, defineAsyncComponent, defineComponent, h, onErrorCaptured, onMounted, ref, Suspense, watch} from 'vue';
  import {init} from '../../src/index.js';
  import {errors} from '../../src/integrations/errors.js';
  import {monitorVue} from '../../src/vue.js';

  init({dsn: MONITOR_DSN, release: RELEASE, integrations: [errors()]});

  const part = (name, setup) => defineComponent({name, setup});
  const on = (name, onClick) => h('button', {onClick}, name);
  const Render = part('RenderPart', () => {
    const crashed = ref(false);
    return () => {
      if (crashed.value) throw new TypeError('render failed');
      return on('render', () => (crashed.value = true));
    };
  });
  const Watcher = part('WatcherPart', () => {
    const count = ref(0);
    watch(count, () => { throw new RangeError('watcher failed'); });
    return () => on('watcher', () => count.value++);
  });
  const Handler = part('HandlerPart', () => () => on('handler', () => { throw new Error('handler failed'); }));
  const Rejecting = part('RejectingPart', () => () => on('rejecting', async () => { throw new Error('handler rejected'); }));
  const AsyncSetup = part('AsyncPart', async () => {
    await Promise.resolve();
    throw new Error('setup failed');
  });
  const Stopped = part('StoppedPart', () => {
    onErrorCaptured(() => false);
    return () => h(Stopping);
  });
  const Stopping = part('StoppingPart', () => () => on('stopped', () => { throw new Error('stopped'); }));
  const Timer = part('TimerPart', () => () => on('timer', () => setTimeout(() => { throw new Error('timer failed'); })));
  const app = createApp(part('Shop', () => () => [
    h(Render), h(Watcher), h(Handler), h(Rejecting), h(Stopped), h(Timer), h(Suspense, () => h(AsyncSetup)),
  ]));`;

const vueErrors = [
  ['Error', 'setup failed', 'AsyncPart'],
  ['TypeError', 'render failed', 'RenderPart'],
  ['RangeError', 'watcher failed', 'WatcherPart'],
  ['Error', 'handler failed', 'HandlerPart'],
  ['Error', 'handler rejected', 'RejectingPart'],
] as const;

test.each([
  {own: '', handled: false, logged: true},
  {own: 'globalThis.heard = []; app.config.errorHandler = (error) => heard.push(error.message);', handled: true, logged: false},
])('in Vue every error is stored once, with its component; handled by the application: $handled', async ({own, handled, logged}) => {
  const script = `${vue}\n${own}\naddEventListener('DOMContentLoaded', () => app.use(monitorVue()).mount('#app'));`;
  const visit = await scene.visit({script, body: '<div id="app"></div>'});
  await press(visit, 'render', 'watcher', 'handler', 'rejecting', 'stopped', 'timer');
  await expect.poll(() => visit.problems).toEqual(['Error: timer failed']);
  const heard = await visit.page.evaluate('globalThis.heard');
  await visit.leave();

  const events = await scene.events(visit, {count: 6});
  expect(events.map(({name, message, data}) => [name, message, data.mechanism, data.handled, data.component])).toEqual([
    ...vueErrors.map(([name, message, component]) => [name, message, 'vue', handled, component]),
    ['Error', 'timer failed', 'onerror', false, undefined],
  ]);
  for (const {data} of events) if (data.mechanism === 'vue') expect(data.info).toMatch(/./);
  const messages = vueErrors.map(([, message]) => message);
  expect(heard).toEqual(handled ? messages : undefined);
  const said = visit.console.filter((line) => line.startsWith('error: '));
  expect(said.map((line) => messages.find((message) => line.includes(message)))).toEqual(logged ? messages : []);
});

test.each(['createWebHistory()', "createWebHistory('/app')", 'createWebHashHistory()'])('page views of Vue Router with %s are named by their routes', async (made) => {
  const base = made.includes('Hash') ? '/vue-hash#' : made.includes('app') ? '/app' : '';
  const script = `
    import {createApp, h} from 'vue';
    import {createRouter, createWebHashHistory, createWebHistory, RouterLink, RouterView} from 'vue-router';
    import {init} from '../../src/index.js';
    import {pageViews} from '../../src/integrations/pageViews.js';
    import {monitorVue, vueRoute} from '../../src/vue.js';

    const view = {render: () => 'view'};
    const parent = {render: () => h(RouterView)};
    const router = createRouter({history: ${made}, routes: [
      {path: '/vue/', component: view},
      {path: '/users/:id', component: parent, children: [{path: '', component: view}, {path: 'orders/:order', component: view}]},
      {path: '/old', redirect: '/users/7'},
    ]});
    init({dsn: MONITOR_DSN, release: RELEASE, integrations: [pageViews()], route: vueRoute(router)});
    const links = ['/users/42', '/users/43?tab=1', '/users/43/orders/9', '/old', '/lost'];
    const app = createApp({render: () => [h(RouterView), ...links.map((to) => h(RouterLink, {to}, () => 'go to ' + to))]});
    addEventListener('DOMContentLoaded', () => app.use(monitorVue()).use(router).mount('#app'));`;
  const visit = await scene.visit({script, body: '<div id="app"></div>', path: `${base}/vue/`});
  for (const to of ['/users/42', '/users/43?tab=1', '/users/43/orders/9', '/old', '/lost']) {
    await visit.page.getByText(`go to ${to}`, {exact: true}).click();
    await visit.page.waitForURL((url) => url.href.endsWith(to === '/old' ? '/users/7' : to));
  }
  await visit.page.goBack();
  await visit.page.waitForURL((url) => url.href.endsWith('/users/7'));
  await visit.leave();

  const lost = base.endsWith('#') ? '/vue-hash' : `${base}/lost`;
  const views = await scene.events(visit, {count: 7});
  expect(views.map(({kind, route}) => [kind, route])).toEqual(
    ['/vue/', '/users/:id', '/users/:id', '/users/:id/orders/:order', '/users/:id', lost, '/users/:id'].map((route) => ['page_view', route]),
  );
  expect(views[3]!.url).toBe(`${scene.origin}${base}/users/43/orders/9`);
});
