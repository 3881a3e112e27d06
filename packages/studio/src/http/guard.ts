/**
 * Who may ask the studio: whoever opened the address with its token, from a page of its own. The
 * token becomes a cookie, so that it stays out of the page's address; the names of host and origin
 * are checked, so that no other page reaches it through the person's browser.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';

/** Nothing but the page's own files runs or is asked. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const HEADERS = Object.freeze({
  'Content-Security-Policy': POLICY,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
});

const NO_TOKEN =
  'This is peft studio. Open the address that it printed in the terminal: it ends with a token.';

export const newToken = (): string => randomBytes(24).toString('base64url');

/** @param hosts names that the server is reached by, with the port. */
export function guard(token: string, hosts: () => readonly string[]): MiddlewareHandler {
  return async (c, next) => {
    for (const [name, value] of Object.entries(HEADERS)) c.header(name, value);
    const host = c.req.header('host') ?? '';
    if (!hosts().includes(host)) return c.text('This host name is not served here.', 421);
    const origin = c.req.header('origin');
    if (origin !== undefined && origin !== `http://${host}`)
      return c.text('Another page may not ask this one.', 403);
    const cookie = `peft-studio-${host.split(':').at(-1)}`;
    const inAddress = c.req.query('token');
    if (c.req.path === '/' && inAddress !== undefined && isSame(inAddress, token)) {
      setCookie(c, cookie, token, { httpOnly: true, sameSite: 'Strict', path: '/' });
      return c.redirect('/', 303);
    }
    if (!isSame(getCookie(c, cookie) ?? bearer(c), token)) return c.text(NO_TOKEN, 401);
    return next();
  };
}

const bearer = (c: Context): string =>
  /^Bearer +(\S+)$/i.exec(c.req.header('authorization') ?? '')?.[1] ?? '';

/** In a time that does not depend on where they differ. */
const isSame = (given: string, own: string): boolean => timingSafeEqual(digest(given), digest(own));

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
