/**
 * Monitor Kit in React applications: errors of components, with the component stack. React 17 and later for the boundary,
 * React 19 for the handlers of a root.
 */
import {Component, createElement, type ComponentType, type ErrorInfo, type FunctionComponent, type ReactNode} from 'react';
import {captureException} from './api.js';
import {scrubUrl} from './scrubUrl.js';

/** What a fallback can be made of. */
export interface FallbackProps {
  /** Anything can be thrown. */
  error: unknown;
  /** The components that led to the error, innermost first. */
  componentStack: string;
  /** Renders the children again. */
  reset: () => void;
}

/** What `ErrorBoundary` takes. */
export interface ErrorBoundaryProps {
  /** What may throw while it is rendered. */
  children?: ReactNode;
  /** Shown in place of the children; nothing by default. */
  fallback?: ReactNode | ((props: FallbackProps) => ReactNode);
  /** Called after the error was captured. */
  onError?: (error: unknown, componentStack: string) => void;
  /** Called when the children are about to be rendered again. */
  onReset?: () => void;
  /** When one of these changes, the children are rendered again: the id of what is shown, the path of the page. */
  resetKeys?: readonly unknown[];
}

interface State {
  caught?: {error: unknown; componentStack: string} | undefined;
}

/**
 * Shows a fallback in place of children that threw while they were rendered, and captures the error with the components that
 * led to it. Errors of event handlers and timers reach no boundary; the `errors` integration captures those.
 */
export class ErrorBoundary extends Component<ErrorBoundaryProps, State> {
  override state: State = {};

  static getDerivedStateFromError(error: unknown): State {
    return {caught: {error, componentStack: ''}};
  }

  /** Not called for a boundary whose own fallback throws: the error then is the next boundary's, and captured there. */
  override componentDidCatch(error: unknown, info: ErrorInfo): void {
    const componentStack = info.componentStack ?? '';
    capture(error, componentStack, true);
    this.setState(({caught}) => ({caught: caught && {...caught, componentStack}}));
    this.props.onError?.(error, componentStack);
  }

  override componentDidUpdate(before: ErrorBoundaryProps, {caught}: State): void {
    // An error that came with the new keys is not reset by them, or it would be thrown for ever.
    if (caught && this.state.caught && differ(before.resetKeys, this.props.resetKeys)) this.reset();
  }

  /** Renders the children again. */
  reset = (): void => {
    if (!this.state.caught) return;
    this.props.onReset?.();
    this.setState({caught: undefined});
  };

  override render(): ReactNode {
    const {caught} = this.state;
    const {children, fallback} = this.props;
    if (!caught) return children;
    return typeof fallback === 'function' ? fallback({...caught, reset: this.reset}) : fallback;
  }
}

/** The component within an `ErrorBoundary` with these properties. */
export function withErrorBoundary<Props extends object>(
  component: ComponentType<Props>,
  boundary: Omit<ErrorBoundaryProps, 'children'>,
): FunctionComponent<Props> {
  const wrapped: FunctionComponent<Props> = (props) => createElement(ErrorBoundary, boundary, createElement(component, props));
  wrapped.displayName = `withErrorBoundary(${component.displayName || component.name || 'Component'})`;
  return wrapped;
}

interface RootErrorInfo {
  componentStack?: string | undefined;
}

interface CaughtErrorInfo extends RootErrorInfo {
  errorBoundary?: unknown;
}

/** The error handlers of a root of React 19. */
export interface ReactErrorHandlers {
  /** For errors that no boundary caught. */
  onUncaughtError: (error: unknown, info: RootErrorInfo) => void;
  /** For errors that a boundary caught. */
  onCaughtError: (error: unknown, info: CaughtErrorInfo) => void;
  /** For errors that React recovered from. */
  onRecoverableError: (error: unknown, info: RootErrorInfo) => void;
}

/**
 * The handlers of a root, for `createRoot(element, reactErrorHandlers())` and `hydrateRoot`: they capture errors that no
 * boundary caught, errors that other boundaries than `ErrorBoundary` caught, and errors that React recovered from, as when the
 * page of the server differs from the first rendering.
 *
 * Then they call the handler of the same name in `own`; without one they do what React does: uncaught and recovered errors
 * go to the error handlers of the window, caught ones to the console.
 */
export function reactErrorHandlers(own: Partial<ReactErrorHandlers> = {}): ReactErrorHandlers {
  const {onUncaughtError = toWindow, onCaughtError = toConsole, onRecoverableError = toWindow} = own;
  return {
    onUncaughtError(error, info) {
      // A text or number that was thrown is not known again when it comes to the window: it is captured there only.
      if (own.onUncaughtError || Object(error) === error) capture(error, info.componentStack, false);
      onUncaughtError(error, info);
    },
    onCaughtError(error, info) {
      // Our boundary captures the error itself, in the same commit: it also has to where nobody uses these handlers.
      if (!(info.errorBoundary instanceof ErrorBoundary)) capture(error, info.componentStack, true);
      onCaughtError(error, info);
    },
    onRecoverableError(error, info) {
      capture(error, info.componentStack, true);
      onRecoverableError(error, info);
    },
  };
}

function capture(error: unknown, componentStack: string | null | undefined, handled: boolean): void {
  captureException(error, {mechanism: 'react', handled, data: {component_stack: scrubUrl(componentStack ?? '', true) || undefined}});
}

/** The client knows the error by then, so that it is not captured a second time. */
function toWindow(error: unknown): void {
  if (typeof reportError === 'function') reportError(error);
  else console.error(error);
}

function toConsole(error: unknown): void {
  console.error(error);
}

function differ(before: readonly unknown[] = [], after: readonly unknown[] = []): boolean {
  return before.length !== after.length || before.some((key, index) => !Object.is(key, after[index]));
}

/** A matching of React Router: the matched routes, outermost first. */
type MatchRoutes<Routes> = (
  routes: Routes,
  location: string,
  basename?: string,
) => readonly {readonly route: {readonly path?: string | undefined}}[] | null;

/**
 * Names page views by the routes of React Router (`/users/:id`) instead of by their paths:
 * `init({dsn, route: reactRoute(routes, matchRoutes)})`. An address that no route matches keeps its path.
 */
export function reactRoute<Routes>(routes: Routes, matchRoutes: MatchRoutes<Routes>, basename?: string): (url: URL) => string | undefined {
  return ({pathname}) => {
    const matches = matchRoutes(routes, pathname, basename);
    if (!matches) return undefined;
    // The path of a child continues its parent's, or repeats it from the root.
    const path = matches.reduce((parent, {route: {path = ''}}) => (path.startsWith('/') ? path : `${parent}/${path}`), '');
    return `/${path}`.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');
  };
}
