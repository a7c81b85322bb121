import { useState } from 'preact/hooks';
import { getLoginWays, logIn, setToken, tokenRefused } from '../api/client.ts';
import { t } from '../i18n/frame.ts';
import { reasonText } from '../i18n/reasons.ts';
import { useResource } from '../state/use-resource.ts';

/** Shown when the service answers 401. Services that do not say how one logs in take a token. */
export function Token() {
  const ways = useResource('login', getLoginWays);
  const [wantsToken, setWantsToken] = useState(false);
  if (!ways.data && !ways.error) return null;
  const both = ways.data?.password === true && ways.data.token;
  const byToken = wantsToken || ways.data?.password !== true;
  return (
    <main class="token">
      <div class="card token-card">
        <h1>{t('signIn')}</h1>
        {byToken ? <ByToken /> : <ByPassword />}
        {both && <button type="button" class="link" onClick={() => setWantsToken(!wantsToken)}>{byToken ? t('withPassword') : t('withToken')}</button>}
      </div>
    </main>
  );
}

function ByToken() {
  const [text, setText] = useState('');
  return (
    <form class="token-form" onSubmit={(event) => { event.preventDefault(); if (text.trim()) setToken(text.trim()); }}>
      <p class="muted">{t('signInText')}</p>
      <label class="field">{t('accessToken')}
        <input class="input" type="password" autocomplete="off" autofocus value={text} aria-invalid={tokenRefused.value} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      {tokenRefused.value && <p class="field-error" role="alert">{t('tokenRefused')}</p>}
      <button type="submit" class="button button-primary" disabled={text.trim() === ''}>{t('continue')}</button>
    </form>
  );
}

function ByPassword() {
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);
  async function submit() {
    setBusy(true);
    setProblem('');
    try {
      await logIn(user.trim(), password, new AbortController().signal);
    } catch (error) {
      setProblem(reasonText(error));
    }
    setBusy(false);
  }
  return (
    <form class="token-form" onSubmit={(event) => { event.preventDefault(); void submit(); }}>
      <p class="muted">{t('signInUserText')}</p>
      <label class="field">{t('signInUser')}<input class="input" name="username" autocomplete="username" autofocus value={user} aria-invalid={problem !== ''} onInput={(event) => setUser(event.currentTarget.value)} /></label>
      <label class="field">{t('signInPassword')}<input class="input" name="password" type="password" autocomplete="current-password" value={password} aria-invalid={problem !== ''} onInput={(event) => setPassword(event.currentTarget.value)} /></label>
      {problem && <p class="field-error" role="alert">{t('loginRefused', { reason: problem })}</p>}
      <button type="submit" class="button button-primary" disabled={busy || user.trim() === '' || password === ''}>{t('signIn')}</button>
    </form>
  );
}
