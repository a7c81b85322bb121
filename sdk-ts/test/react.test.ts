import {act, Component, createElement, StrictMode, useEffect, useState, type ReactNode} from 'react';
import {flushSync} from 'react-dom';
import {createRoot, type Root} from 'react-dom/client';
import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {current} from '../src/current.js';
import {ErrorBoundary, reactErrorHandlers, reactRoute, withErrorBoundary, type FallbackProps} from '../src/react.js';
import type {Client} from '../src/types.js';

const captureException = vi.fn();
let root: Root | undefined;
let element: HTMLElement;

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  vi.spyOn(console, 'error').mockImplementation(() => {});
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  captureException.mockReset();
  current._client = {captureException} as unknown as Client;
  element = document.body.appendChild(document.createElement('div'));
});

afterEach(async () => {
  await act(() => root?.unmount());
  root = undefined;
  element.remove();
  current._client = undefined;
});

async function render(node: ReactNode, handlers?: Parameters<typeof createRoot>[1]): Promise<void> {
  root ??= createRoot(element, handlers);
  await act(() => root!.render(node));
}

const broken = new TypeError('the cart is broken');
let breaks = true;
function Cart(): ReactNode {
  if (breaks) throw broken;
  return 'two shoes';
}
/** A new element each time: React does not render the same one again. */
const cart = (): ReactNode => createElement(Cart);
const fallback = ({error, reset}: FallbackProps): ReactNode => createElement('button', {onClick: reset}, `failed: ${(error as Error).message}`);

beforeEach(() => {
  breaks = true;
});

test('an error in a component is captured once with the components that led to it, and the fallback is shown', async () => {
  const onError = vi.fn();
  await render(createElement(ErrorBoundary, {fallback, onError}, cart()));
  expect(element.textContent).toBe('failed: the cart is broken');
  expect(captureException.mock.calls).toEqual([
    [broken, {mechanism: 'react', handled: true, data: {component_stack: expect.stringMatching(/^\s+at Cart/)}}],
  ]);
  expect(onError.mock.calls).toEqual([[broken, expect.stringContaining('at Cart')]]);
});

test('StrictMode does not capture twice', async () => {
  await render(createElement(StrictMode, null, createElement(ErrorBoundary, {fallback: 'sorry'}, cart())), reactErrorHandlers());
  expect(element.textContent).toBe('sorry');
  expect(captureException).toHaveBeenCalledTimes(1);
});

test('the fallback is told the components, can be left out, and resets', async () => {
  const onReset = vi.fn();
  let last: FallbackProps | undefined;
  await render(createElement(ErrorBoundary, {onReset, fallback: (props) => ((last = props), 'sorry')}, cart()));
  expect(last).toMatchObject({error: broken, componentStack: expect.stringContaining('at Cart')});
  breaks = false;
  await act(() => last!.reset());
  expect(element.textContent).toBe('two shoes');
  expect(onReset).toHaveBeenCalledTimes(1);
  // What is not broken is not reset.
  await act(() => last!.reset());
  expect(onReset).toHaveBeenCalledTimes(1);

  breaks = true;
  await render(createElement(ErrorBoundary, null, cart()));
  expect(element.textContent).toBe('');
});

test('an error after a reset is captured again', async () => {
  await render(createElement(ErrorBoundary, {fallback}, cart()));
  await act(() => element.querySelector('button')!.click());
  expect(element.textContent).toBe('failed: the cart is broken');
  expect(captureException).toHaveBeenCalledTimes(2);
});

test('changed reset keys render the children again; keys that came with the error do not', async () => {
  const page = (...resetKeys: unknown[]): ReactNode => createElement(ErrorBoundary, {fallback: 'sorry', resetKeys}, cart());
  breaks = false;
  await render(page('a', NaN));
  breaks = true;
  await render(page('b', NaN));
  expect(element.textContent).toBe('sorry');
  breaks = false;
  await render(page('b', NaN));
  expect(element.textContent).toBe('sorry');
  await render(page('c', NaN));
  expect(element.textContent).toBe('two shoes');
  expect(captureException).toHaveBeenCalledTimes(1);
});

test('the innermost boundary captures; when its own fallback fails, the next one does', async () => {
  await render(createElement(ErrorBoundary, {fallback: 'outer'}, 'shop ', createElement(ErrorBoundary, {fallback: 'inner'}, cart())));
  expect(element.textContent).toBe('shop inner');
  expect(captureException).toHaveBeenCalledTimes(1);

  await act(() => root!.unmount());
  root = undefined;
  captureException.mockReset();
  const rethrow = ({error}: FallbackProps): ReactNode => {
    throw error;
  };
  await render(createElement(ErrorBoundary, {fallback: 'outer'}, createElement(ErrorBoundary, {fallback: rethrow}, cart())), reactErrorHandlers());
  expect(element.textContent).toBe('outer');
  expect(captureException).toHaveBeenCalledTimes(1);
});

test('errors of effects and updates reach the boundary like those of the first rendering', async () => {
  const Late = (): ReactNode => {
    const [failed, setFailed] = useState(false);
    if (failed) throw new RangeError('update');
    return createElement('button', {onClick: () => setFailed(true)});
  };
  const Effect = (): ReactNode => {
    useEffect(() => {
      throw new RangeError('effect');
    }, []);
    return null;
  };
  await render([createElement(ErrorBoundary, {key: 1}, createElement(Late)), createElement(ErrorBoundary, {key: 2}, createElement(Effect))]);
  await act(() => element.querySelector('button')!.click());
  expect(captureException.mock.calls.map(([error]) => error.message)).toEqual(['effect', 'update']);
});

test('anything that is thrown shows the fallback', async () => {
  const Odd = (): ReactNode => {
    throw undefined;
  };
  await render(createElement(ErrorBoundary, {fallback: 'sorry'}, createElement(Odd)));
  expect(element.textContent).toBe('sorry');
  expect(captureException).toHaveBeenCalledWith(undefined, expect.anything());
});

test('withErrorBoundary passes properties on and says what it wraps', async () => {
  const Greeting = ({name}: {name: string}): ReactNode => {
    if (!name) throw broken;
    return `hello ${name}`;
  };
  const Safe = withErrorBoundary(Greeting, {fallback: 'sorry'});
  expect(Safe.displayName).toBe('withErrorBoundary(Greeting)');
  await render(createElement(Safe, {name: 'Ada'}));
  expect(element.textContent).toBe('hello Ada');
  await render(createElement(Safe, {name: ''}));
  expect(element.textContent).toBe('sorry');
});

test('an error of our boundary is captured once where the root has handlers too; of a foreign boundary, the handler captures', async () => {
  await render(createElement(ErrorBoundary, {fallback: 'sorry'}, cart()), reactErrorHandlers());
  expect(captureException).toHaveBeenCalledTimes(1);
  // React leaves the console to the handler.
  expect(console.error).toHaveBeenCalledWith(broken);

  class Foreign extends Component<{children: ReactNode}> {
    override state = {failed: false};
    static getDerivedStateFromError = (): object => ({failed: true});
    override render(): ReactNode {
      return this.state.failed ? 'foreign' : this.props.children;
    }
  }
  captureException.mockReset();
  await render(createElement(Foreign, null, cart()));
  expect(element.textContent).toBe('foreign');
  expect(captureException.mock.calls).toEqual([
    [broken, {mechanism: 'react', handled: true, data: {component_stack: expect.stringContaining('at Cart')}}],
  ]);
});

test('an error without a boundary is captured as unhandled, and goes to the window as without us', async () => {
  const reported = vi.fn();
  vi.stubGlobal('reportError', reported);
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', false);
  root = createRoot(element, reactErrorHandlers());
  // `act` would take the error for itself.
  flushSync(() => root!.render(cart()));
  expect(captureException.mock.calls).toEqual([
    [broken, {mechanism: 'react', handled: false, data: {component_stack: expect.stringContaining('at Cart')}}],
  ]);
  expect(reported.mock.calls).toEqual([[broken]]);
  // It was captured first, so that the client knows it when it comes to the window.
  expect(captureException.mock.invocationCallOrder[0]).toBeLessThan(reported.mock.invocationCallOrder[0]!);
});

test('a text that nobody caught is left to the window, which cannot know that it was captured before', () => {
  const reported = vi.fn();
  vi.stubGlobal('reportError', reported);
  reactErrorHandlers().onUncaughtError('odd', {});
  expect(captureException).not.toHaveBeenCalled();
  expect(reported).toHaveBeenCalledWith('odd');
  reactErrorHandlers({onUncaughtError: () => {}}).onUncaughtError('odd', {});
  expect(captureException).toHaveBeenCalledTimes(1);
});

test('secrets in the addresses of a component stack are scrubbed, and an empty stack is none', () => {
  const {onRecoverableError} = reactErrorHandlers({onRecoverableError: () => {}});
  onRecoverableError(broken, {componentStack: '\n    at Cart (https://shop.example/cart?token=hunter2:21:5)'});
  onRecoverableError(broken, {componentStack: ''});
  const stacks = captureException.mock.calls.map(([, {data}]) => data.component_stack);
  expect(stacks).toEqual([expect.stringMatching(/at Cart \(https:\/\/shop\.example\/cart\?token=.*scrubbed/), undefined]);
  expect(stacks[0]).not.toContain('hunter2');
});

test("the application's own handlers come after the capture, and instead of the defaults", async () => {
  const reported = vi.fn();
  vi.stubGlobal('reportError', reported);
  const own = {onUncaughtError: vi.fn(), onCaughtError: vi.fn(), onRecoverableError: vi.fn()};
  const handlers = reactErrorHandlers(own);
  const info = {componentStack: 'at Cart'};
  handlers.onUncaughtError(broken, info);
  handlers.onCaughtError(broken, info);
  handlers.onRecoverableError(broken, info);
  for (const handler of Object.values(own)) expect(handler.mock.calls).toEqual([[broken, info]]);
  expect(captureException.mock.calls.map(([, {handled}]) => handled)).toEqual([false, true, true]);
  expect(reported).not.toHaveBeenCalled();
  expect(console.error).not.toHaveBeenCalled();
});

test('a browser without reportError has it on the console', () => {
  vi.stubGlobal('reportError', undefined);
  reactErrorHandlers().onUncaughtError(broken, {});
  expect(console.error).toHaveBeenCalledWith(broken);
});

test.each<[matched: (string | undefined)[] | null, route: string | undefined]>([
  [[undefined, '/'], '/'],
  [['/', 'users/:id'], '/users/:id'],
  [['/', 'users', ':id', undefined], '/users/:id'],
  [['/users', '/users/:id/orders'], '/users/:id/orders'],
  [['files/*'], '/files/*'],
  [['/shop/'], '/shop'],
  [null, undefined],
])('the routes %j name the page %s', (matched, route) => {
  const match = vi.fn(() => matched && matched.map((path) => ({route: {path}})));
  const routes = [{path: '/'}];
  expect(reactRoute(routes, match, '/app')(new URL('https://shop.example/lost/42?a=1#b'))).toBe(route);
  expect(match).toHaveBeenCalledWith(routes, '/lost/42', '/app');
});
