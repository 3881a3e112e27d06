import { execFileSync } from 'node:child_process';
import { closeSync, openSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorCode } from '../../test/support/error-code.js';
import { fixturePath, temporaryFolder } from '../../test/support/paths.js';
import { openSafetensors } from './open-safetensors.js';

const path = fixturePath('models/deberta-v2/model.safetensors');

describe('openSafetensors', () => {
  test('tells where each tensor lies, and reads those bytes', async () => {
    const store = openSafetensors(path);
    const whole = await readFile(path);
    expect(store.names()).toHaveLength(58);
    expect(store.metadata).toEqual({ format: 'pt' });
    let end = 8 + Number(whole.readBigUInt64LE());
    for (const name of store.names()) {
      const source = store.get(name)!;
      expect(source.file).toEqual({ path, byteOffset: end });
      expect(Buffer.compare(source.read(), whole.subarray(end, end + source.byteLength))).toBe(0);
      end += source.byteLength;
    }
    expect(end).toBe(whole.length);
    expect(store.get('no.such.tensor')).toBeUndefined();
    store.close();
  });

  test('reads a part of a tensor, and nothing outside it', async () => {
    const store = openSafetensors(path);
    const source = store.get('deberta.embeddings.word_embeddings.weight')!;
    expect(source.shape).toEqual([728, 48]); // of the config: vocabulary, width
    const whole = source.read();
    expect(source.read(192, 384)).toEqual(whole.slice(192, 576));
    expect(source.read(source.byteLength)).toHaveLength(0);
    for (const [start, length] of [
      [-1, 1],
      [0, source.byteLength + 1],
      [source.byteLength, 1],
      [0.5, 1],
      [0, NaN],
    ] as const) {
      expect(await errorCode(() => source.read(start, length))).toBe('PEFT_TENSOR_RANGE');
    }
    store.close();
  });

  test('says so when a tensor is read after close, or when the file became shorter', async () => {
    const folder = temporaryFolder();
    const copy = join(folder, 'copy.safetensors');
    writeFileSync(copy, await readFile(path));
    const store = openSafetensors(copy);
    const source = store.get(store.names().at(-1)!)!;
    truncateSync(copy, 1000);
    expect(await errorCode(() => source.read())).toBe('PEFT_FILE_TRUNCATED');
    store.close();
    store.close();
    expect(await errorCode(() => source.read())).toBe('PEFT_STORE_CLOSED');
  });

  test('reads the end of a file of 5 GB without reading the rest', () => {
    const copy = join(temporaryFolder(), 'large.safetensors');
    const header = Buffer.from(
      JSON.stringify({
        first: { dtype: 'U8', shape: [5_000_000_000], data_offsets: [0, 5_000_000_000] },
        last: { dtype: 'F32', shape: [2], data_offsets: [5_000_000_000, 5_000_000_008] },
      }),
    );
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(copy, Buffer.concat([prefix, header]));
    truncateSync(copy, 8 + header.length + 5_000_000_008); // a hole takes no room on the disk
    const file = openSync(copy, 'r+');
    writeSync(file, Float32Array.of(1, 2), 0, 8, 8 + header.length + 5_000_000_000);
    closeSync(file);
    const store = openSafetensors(copy);
    expect(store.get('last')!.read()).toEqual(new Uint8Array(Float32Array.of(1, 2).buffer));
    expect(store.get('first')!.read(4_999_999_999)).toEqual(Uint8Array.of(0));
    store.close();
  });

  test('names what is wrong with a file that is missing, cut or no safetensors file', async () => {
    const folder = temporaryFolder();
    const whole = await readFile(path);
    const open = (bytes: Uint8Array) => {
      writeFileSync(join(folder, 'bad.safetensors'), bytes);
      return errorCode(() => openSafetensors(join(folder, 'bad.safetensors')));
    };
    expect(await errorCode(() => openSafetensors(join(folder, 'none.safetensors')))).toBe(
      'PEFT_FILE_OPEN',
    );
    expect(await errorCode(() => openSafetensors(folder))).toBe('PEFT_FILE_OPEN');
    expect(await open(new Uint8Array(0))).toBe('PEFT_SAFETENSORS_HEADER');
    expect(await open(whole.subarray(0, 100))).toBe('PEFT_SAFETENSORS_HEADER');
    expect(await open(whole.subarray(0, whole.length - 1))).toBe('PEFT_SAFETENSORS_OFFSETS');
    expect(await open(Buffer.concat([whole, Buffer.alloc(1)]))).toBe('PEFT_SAFETENSORS_OFFSETS');
    expect(
      await open(Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:…\n')),
    ).toBe('PEFT_FILE_LFS_POINTER');
    execFileSync('mkfifo', [join(folder, 'pipe.safetensors')]);
    expect(await errorCode(() => openSafetensors(join(folder, 'pipe.safetensors')))).toBe(
      'PEFT_FILE_OPEN',
    );
  });
});
