/** Reads the JSON body of a request field by field, and refuses what it does not know. */
import { didYouMean, show } from '@peft/errors';
import { ApiError } from './api-error.js';

type Json = Readonly<Record<string, unknown>>;

/** Fields of one body; each that is read is known. */
export class BodyReader {
  readonly #known = new Set<string>();

  constructor(readonly json: Json) {}

  /** @throws ApiError 400 for what is no UTF-8, no JSON, or no object */
  static parse(bytes: ArrayBuffer): BodyReader {
    let json: unknown;
    try {
      json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    } catch (error) {
      const what = error instanceof SyntaxError ? 'JSON' : 'UTF-8';
      throw new ApiError(400, `The body is not valid ${what}: ${(error as Error).message}.`);
    }
    if (!isObject(json))
      throw new ApiError(400, `The body must be a JSON object, got ${show(json)}.`);
    return new BodyReader(json);
  }

  /** A field's value as it is; null counts as missing. */
  any(name: string): unknown {
    this.#known.add(name);
    const value = this.json[name];
    return value === null ? undefined : value;
  }

  has(name: string): boolean {
    return this.json[name] !== undefined && this.json[name] !== null;
  }

  text(name: string): string | undefined {
    return this.#typed(name, 'a text', (value): value is string => typeof value === 'string');
  }

  flag(name: string): boolean | undefined {
    return this.#typed(
      name,
      'true or false',
      (value): value is boolean => typeof value === 'boolean',
    );
  }

  number(name: string, [least, most]: readonly [number, number]): number | undefined {
    return this.#typed(
      name,
      `a number from ${least} to ${most}`,
      (value): value is number => typeof value === 'number' && value >= least && value <= most,
    );
  }

  integer(name: string, [least, most]: readonly [number, number]): number | undefined {
    return this.#typed(
      name,
      Number.isFinite(most)
        ? `an integer from ${least} to ${most}`
        : `an integer of at least ${least}`,
      (value): value is number =>
        Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most,
    );
  }

  object(name: string): Json | undefined {
    return this.#typed(name, 'an object', isObject);
  }

  /** A text, or a list of at most `most` texts. */
  texts(name: string, most: number): readonly string[] | undefined {
    const value = this.any(name);
    if (value === undefined) return undefined;
    const list = typeof value === 'string' ? [value] : value;
    const isValid =
      Array.isArray(list) && list.length <= most && list.every((item) => typeof item === 'string');
    if (isValid) return list as string[];
    throw this.invalid(name, `a text, or a list of at most ${most} texts`, value);
  }

  /**
   * A field that would change the answer and is not supported: anything but these values is refused.
   * @param reason what is there instead
   */
  refuse(name: string, reason: string, ...harmless: readonly unknown[]): void {
    const value = this.any(name);
    if (
      value === undefined ||
      harmless.some((one) => JSON.stringify(one) === JSON.stringify(value))
    )
      return;
    throw new ApiError(400, `"${name}" is not supported: ${reason}.`, {
      param: name,
      code: 'unsupported_parameter',
    });
  }

  /** Fields that change no answer. */
  pass(...names: readonly string[]): void {
    for (const name of names) this.#known.add(name);
  }

  /** @throws ApiError 400 for fields that nobody has read */
  refuseUnknown(): void {
    const unknown = Object.keys(this.json).find((name) => !this.#known.has(name));
    if (unknown === undefined) return;
    throw new ApiError(
      400,
      `Unknown parameter ${show(unknown)}. ${didYouMean(unknown, this.#known)}`.trim(),
      { param: unknown, code: 'unknown_parameter' },
    );
  }

  invalid(name: string, must: string, value: unknown): ApiError {
    return new ApiError(400, `"${name}" must be ${must}, got ${show(value)}.`, {
      param: name,
      code: 'invalid_value',
    });
  }

  #typed<T>(name: string, must: string, is: (value: unknown) => value is T): T | undefined {
    const value = this.any(name);
    if (value === undefined || is(value)) return value;
    throw this.invalid(name, must, value);
  }
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
