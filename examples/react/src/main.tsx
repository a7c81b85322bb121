// First, so that it sees what goes wrong in everything after it.
import './monitor';
import {reactErrorHandlers} from '@monitor-kit/browser/react';
import {StrictMode} from 'react';
import {createRoot} from 'react-dom/client';
import {createBrowserRouter, RouterProvider} from 'react-router';
import {routes} from './routes';

createRoot(document.getElementById('root')!, reactErrorHandlers()).render(
  <StrictMode>
    <RouterProvider router={createBrowserRouter(routes)} />
  </StrictMode>,
);
