/** Whether a request has a key that the server knows. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { ApiError } from './api-error.js';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/**
 * Compares in a time that depends on neither key: digests are compared, all of them.
 * @throws ApiError 401
 */
export function authorize(header: string | undefined, keys: readonly string[]): void {
  if (keys.length === 0) return;
  const [, given = ''] = /^Bearer +(\S+)$/i.exec(header ?? '') ?? [];
  const sent = digest(given);
  const matches = keys.map((key) => timingSafeEqual(digest(key), sent));
  if (given === '' || !matches.includes(true))
    throw new ApiError(401, 'This server needs an API key: Authorization: Bearer KEY.', {
      code: 'invalid_api_key',
    });
}
