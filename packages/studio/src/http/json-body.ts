/** The JSON body of a request. */
import type { Context } from 'hono';
import { PeftError, show } from '@peft/errors';
import type { JsonObject } from '@peft/hub';

/** @throws PEFT_STUDIO_REQUEST for what is no JSON object */
export async function jsonBody(c: Context): Promise<JsonObject> {
  const text = await c.req.text();
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as JsonObject;
  } catch {
    // refused below
  }
  throw invalid('a JSON object', text);
}

/** @throws PEFT_STUDIO_REQUEST when the field is no text */
export function textField(body: JsonObject, name: string): string {
  const value = body[name];
  if (typeof value === 'string') return value;
  throw invalid(`an object with a text ${name}`, body);
}

/** @throws PEFT_STUDIO_REQUEST when the field is no object */
export function objectField(body: JsonObject, name: string): JsonObject {
  const value = body[name];
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as JsonObject;
  throw invalid(`an object with an object ${name}`, body);
}

/** @throws PEFT_STUDIO_REQUEST without it */
export function queryText(c: Context, name: string): string {
  const value = c.req.query(name);
  if (value !== undefined) return value;
  throw new PeftError('PEFT_STUDIO_REQUEST', `studio: ${c.req.path} needs ?${name}=….`);
}

const invalid = (must: string, got: unknown): PeftError =>
  new PeftError('PEFT_STUDIO_REQUEST', `studio: the request must be ${must}, got ${show(got)}.`);
