import {ErrorBoundary} from '@monitor-kit/browser/react';
import {useState} from 'react';
import {Link, Outlet, useParams, type RouteObject} from 'react-router';

function Layout() {
  return (
    <main>
      <nav>
        <Link to="/">Shop</Link> <Link to="/products/7">Product 7</Link> <Link to="/products/8">Product 8</Link>
      </nav>
      <Outlet />
    </main>
  );
}

function Shop() {
  const [count, setCount] = useState(0);
  const [status, setStatus] = useState('');

  const order = async () => {
    // Nothing listens on this path: a request that fails is captured with its status.
    const response = await fetch('/api/no-such-order', {method: 'POST'});
    setStatus(`The shop answered ${response.status}`);
  };

  return (
    <>
      <h1>Shop</h1>
      <button onClick={() => setCount(count + 1)}>In the cart: {count}</button>
      <button onClick={order}>Order</button> {status}
      <ErrorBoundary fallback={({error, reset}) => <Broken error={error} reset={reset} />}>
        <Recommendations />
      </ErrorBoundary>
    </>
  );
}

function Recommendations() {
  const [crash, setCrash] = useState(false);
  if (crash) throw new TypeError('the recommendations are broken');
  return <button onClick={() => setCrash(true)}>Crash a component</button>;
}

function Broken({error, reset}: {error: unknown; reset: () => void}) {
  return (
    <p role="alert">
      Something went wrong: {String(error)} <button onClick={reset}>Try again</button>
    </p>
  );
}

function Product() {
  return <h1>Product {useParams().id}</h1>;
}

// Page views are named by these paths: `/products/:id`, not `/products/7`.
export const routes: RouteObject[] = [
  {
    element: <Layout />,
    children: [
      {path: '/', element: <Shop />},
      {path: '/products/:id', element: <Product />},
    ],
  },
];
