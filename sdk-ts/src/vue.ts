/** Monitor Kit in Vue 3 applications: errors of components, and page views named by routes. */
import type {ComponentPublicInstance, Plugin} from 'vue';
import {captureException} from './api.js';

/**
 * Captures what components throw while they render, in their hooks, watchers, handlers of events and of the router:
 * `app.use(monitorVue())`. A handler that the application set before is called as ever; without one, the error is logged, as Vue
 * does in production.
 */
export function monitorVue(): Plugin {
  return {
    install({config}) {
      const own = config.errorHandler;
      config.errorHandler = (error, instance, info) => {
        captureException(error, {mechanism: 'vue', handled: !!own, data: {component: nameOf(instance), info}});
        // To throw instead, as Vue does during development, would leave it with its tracking paused.
        if (own) own(error, instance, info);
        else console.error(error);
      };
    },
  };
}

function nameOf(instance: ComponentPublicInstance | null): string | undefined {
  if (!instance) return undefined;
  const {name, __name} = instance.$options;
  return name || __name || (instance.$parent ? 'Anonymous' : 'Root');
}

/** What is needed of a router of Vue Router 4. */
interface Router {
  readonly options: {readonly history: {readonly base: string}};
  resolve(path: string): {readonly matched: readonly {readonly path: string}[]};
}

/**
 * Names page views by the routes of Vue Router (`/users/:id`) instead of by their paths:
 * `init({dsn, route: vueRoute(router)})`. An address that no route matches keeps its path.
 */
export function vueRoute(router: Router): (url: URL) => string | undefined {
  return ({pathname, hash}) => {
    const {base} = router.options.history;
    const path = base.includes('#') ? hash.slice(1) : pathname.startsWith(base) ? pathname.slice(base.length) : pathname;
    const {matched} = router.resolve(path || '/');
    return matched[matched.length - 1]?.path;
  };
}
