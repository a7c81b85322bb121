import {init} from '@monitor-kit/browser';
import {reactRoute} from '@monitor-kit/browser/react';
import {matchRoutes} from 'react-router';
import {routes} from './routes';

init({
  dsn: import.meta.env.VITE_MONITOR_DSN ?? 'http://demo-key@localhost:8080/shop',
  release: 'react-example',
  route: reactRoute(routes, matchRoutes),
});
