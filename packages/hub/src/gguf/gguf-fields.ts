/** Reads fields of a GGUF file's metadata, and says which is missing or of another kind. */
import { PeftError, show } from '@peft/errors';
import type { GgufFile } from './open-gguf.js';
import type { GgufScalar, GgufValue } from './gguf-value.js';

export class GgufFields {
  constructor(private readonly file: Pick<GgufFile, 'path' | 'metadata'>) {}

  get(key: string): GgufValue | undefined {
    return this.file.metadata.get(key);
  }

  /** @throws PEFT_GGUF_METADATA */
  number(key: string): number {
    const value = this.optionalNumber(key);
    return value ?? this.#refuse(key, 'a number');
  }

  /** @throws PEFT_GGUF_METADATA for one that is there and no number */
  optionalNumber(key: string): number | undefined {
    const value = this.get(key);
    if (value === undefined) return undefined;
    return typeof value === 'number' && Number.isFinite(value)
      ? value
      : this.#refuse(key, 'a number');
  }

  /** @throws PEFT_GGUF_METADATA */
  text(key: string): string {
    const value = this.get(key);
    return typeof value === 'string' ? value : this.#refuse(key, 'a text');
  }

  optionalText(key: string): string | undefined {
    return this.get(key) === undefined ? undefined : this.text(key);
  }

  optionalFlag(key: string): boolean | undefined {
    const value = this.get(key);
    if (value === undefined) return undefined;
    return typeof value === 'boolean' ? value : this.#refuse(key, 'true or false');
  }

  /** @throws PEFT_GGUF_METADATA */
  list<K extends 'string' | 'number'>(
    key: string,
    kind: K,
  ): readonly (K extends 'string' ? string : number)[] {
    const value = this.get(key);
    if (!Array.isArray(value) || !(value as GgufScalar[]).every((each) => typeof each === kind))
      return this.#refuse(key, `a list of ${kind}s`);
    return value as readonly (K extends 'string' ? string : number)[];
  }

  #refuse(key: string, wanted: string): never {
    throw new PeftError(
      'PEFT_GGUF_METADATA',
      `gguf: ${this.file.path}: ${key} must be ${wanted}, got ${show(this.get(key))}.`,
      { hint: 'the file lacks what its model needs: take one that llama.cpp loads' },
    );
  }
}
