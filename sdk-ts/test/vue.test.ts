import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {createApp, defineComponent, h, nextTick, onErrorCaptured, onMounted, ref, watch, type App, type Component} from 'vue';
import {createMemoryHistory, createRouter, createWebHashHistory, createWebHistory} from 'vue-router';
import {current} from '../src/current.js';
import {monitorVue, vueRoute} from '../src/vue.js';
import type {Client} from '../src/types.js';

const captureException = vi.fn();
let app: App | undefined;
let element: HTMLElement;

beforeEach(() => {
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  captureException.mockReset();
  current._client = {captureException} as unknown as Client;
  element = document.body.appendChild(document.createElement('div'));
});

afterEach(() => {
  try {
    app?.unmount();
  } catch {
    // What failed while it was mounted cannot always be unmounted.
  }
  element.remove();
  current._client = undefined;
});

const broken = new TypeError('the cart is broken');
const errorHandler = vi.fn();

function mount(component: Component, own: typeof errorHandler | null = errorHandler.mockReset()): void {
  app = createApp(component);
  if (own) app.config.errorHandler = own;
  app.use(monitorVue());
  app.mount(element);
}

const cart = defineComponent({
  name: 'ShoppingCart',
  render() {
    throw broken;
  },
});

test('an error of a component is captured with its name and with what failed, then the own handler is called', () => {
  mount({render: () => h(cart)});
  expect(captureException.mock.calls).toEqual([
    [broken, {mechanism: 'vue', handled: true, data: {component: 'ShoppingCart', info: 'render function'}}],
  ]);
  expect(errorHandler.mock.calls).toEqual([[broken, expect.objectContaining({$options: expect.anything()}), 'render function']]);
});

test('without an own handler nobody handled it, and it is on the console', () => {
  const error = vi.spyOn(console, 'error').mockImplementation(() => {});
  mount({render: () => h(cart)}, null);
  expect(captureException).toHaveBeenCalledWith(broken, expect.objectContaining({handled: false}));
  expect(error.mock.calls).toEqual([[broken]]);
});

test.each<[info: string, component: Component]>([
  ['setup function', {setup: () => { throw broken; }}],
  ['mounted hook', {setup: () => onMounted(() => { throw broken; }), render: () => 'cart'}],
  ['native event handler', {render: () => h('button', {onClick: () => { throw broken; }})}],
  ['native event handler', {render: () => h('button', {onClick: async () => { throw broken; }})}],
  ['watcher callback', {
    setup() {
      const count = ref(0);
      watch(count, () => { throw broken; });
      return () => h('button', {onClick: () => count.value++}, count.value);
    },
  }],
])('an error in a %s is captured once', async (info, component) => {
  mount({render: () => h({name: 'Part', ...component} as Component)});
  element.querySelector('button')?.click();
  await nextTick();
  await nextTick();
  expect(captureException.mock.calls).toEqual([[broken, {mechanism: 'vue', handled: true, data: {component: 'Part', info}}]]);
});

test('an error that a component stopped is not captured', () => {
  mount({setup: () => (onErrorCaptured(() => false), () => h(cart))});
  expect(captureException).not.toHaveBeenCalled();
});

test('components without a name are called by their file, their place, or not at all', () => {
  mount({render: () => h({__name: 'CartView', render: cart.render} as Component)});
  expect(captureException.mock.lastCall![1].data.component).toBe('CartView');
  mount({render: () => h({render: cart.render} as Component)});
  expect(captureException.mock.lastCall![1].data.component).toBe('Anonymous');
  mount({render: cart.render} as Component);
  expect(captureException.mock.lastCall![1].data.component).toBe('Root');
  app!.config.errorHandler!(broken, null, 'app errorHandler');
  expect(captureException.mock.lastCall![1].data).toEqual({component: undefined, info: 'app errorHandler'});
});

test('the handler of warnings is left alone', () => {
  mount({render: () => 'shop'});
  expect(app!.config.warnHandler).toBeUndefined();
});

const routes = [
  {path: '/', component: cart},
  {path: '/users/:id', component: cart, children: [{path: 'orders/:order(\\d+)?', component: cart}, {path: '', component: cart}]},
];

test.each<[kind: string, url: string, route: string | undefined]>([
  ['web', '/', '/'],
  ['web', '/users/42?tab=1#top', '/users/:id'],
  ['web', '/users/42/orders/7', '/users/:id/orders/:order(\\d+)?'],
  ['web', '/lost/42', undefined],
  ['base', '/app', '/'],
  ['base', '/app/users/42', '/users/:id'],
  ['base', '/app/lost/42', undefined],
  ['base', '/other/users/42', undefined],
  ['hash', '/index.html#/users/42?tab=1', '/users/:id'],
  ['hash', '/index.html', '/'],
  ['memory', '/users/42', '/users/:id'],
])('with a %s history the page %s is named %s', (kind, url, route) => {
  history.replaceState(null, '', url);
  const made = {web: createWebHistory, base: () => createWebHistory('/app/'), hash: createWebHashHistory, memory: createMemoryHistory};
  const router = createRouter({history: made[kind as keyof typeof made](), routes});
  expect(vueRoute(router)(new URL(url, 'https://shop.example'))).toBe(route);
  history.replaceState(null, '', '/');
});
