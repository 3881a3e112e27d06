/** In the registry of the process, so that every copy of this package knows it. */
const BRAND = Symbol.for('@peft/errors/PeftError');

/**
 * The one error class of the toolkit: a code for programs, a sentence for people, a hint that says
 * what to do.
 */
export class PeftError extends Error {
  /**
   * `error instanceof PeftError` holds for errors of another copy of this package, too: a tree of
   * packages may hold two.
   */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return this === PeftError
      ? typeof value === 'object' && value !== null && BRAND in value
      : Function.prototype[Symbol.hasInstance].call(this, value);
  }

  /** Stable and upper case, `PEFT_NOUN_PROBLEM`. */
  readonly code: string;
  readonly hint: string | undefined;

  /**
   * @param code `PEFT_NOUN_PROBLEM`, stable over versions.
   * @param message owner, what is wrong and what was got, for instance `lora: rank must be a
   *   positive integer, got 0.`
   * @param options.hint what to do about it; appended to the message.
   * @param options.cause the error underneath, if any.
   */
  constructor(code: string, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(
      options.hint ? `${message}\n  hint: ${options.hint}` : message,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = 'PeftError';
    this.code = code;
    this.hint = options.hint;
  }
}

Object.defineProperty(PeftError.prototype, BRAND, { value: true });
