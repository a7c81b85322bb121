import { useState } from 'preact/hooks';
import { setToken, tokenRefused } from '../api/client.ts';

/** Shown when the service answers 401. */
export function Token() {
  const [text, setText] = useState('');
  return (
    <main class="token">
      <form class="card token-card" onSubmit={(event) => { event.preventDefault(); if (text.trim()) setToken(text.trim()); }}>
        <h1>Sign in</h1>
        <p class="muted">This service asks for an access token. It is kept until this tab is closed.</p>
        <label class="field">Access token
          <input class="input" type="password" autocomplete="off" autofocus value={text} aria-invalid={tokenRefused.value} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        {tokenRefused.value && <p class="field-error" role="alert">This token was refused.</p>}
        <button type="submit" class="button button-primary" disabled={text.trim() === ''}>Continue</button>
      </form>
    </main>
  );
}
