import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MODEL, quickRows } from './quick.js';
import { useRefusals } from './refusals.js';

const at = useRefusals();
const { refusal } = at;
let count = 0;

/** A copy of the model with some files changed; null removes one. */
function changedModel(
  changes: Readonly<Record<string, ((bytes: Buffer) => Uint8Array | string) | null>>,
): string {
  const where = join(at.folder, `model-${(count += 1)}`);
  cpSync(MODEL, where, { recursive: true });
  for (const [name, change] of Object.entries(changes)) {
    if (change) writeFileSync(join(where, name), change(readFileSync(join(where, name))));
    else rmSync(join(where, name));
  }
  return where;
}

/** Replaces the header of a safetensors file, whose length may lie. */
function withHeader(
  bytes: Buffer,
  change: (header: Record<string, { data_offsets: [number, number] }>) => void,
  length?: bigint,
): Buffer {
  const size = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + size).toString()) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  change(header);
  const text = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length ?? BigInt(text.length));
  return Buffer.concat([prefix, text, bytes.subarray(8 + size)]);
}

describe('a bad base model is refused', () => {
  const withModel = (model: string) =>
    refusal(quickRows(20), {
      fit: { hyperparameters: { 'model.hf_text.checkpoint_name': model } },
    });

  it('no such folder, no config, an unknown family', async () => {
    expect(await withModel(join(at.folder, 'none'))).toMatchObject({ code: 'PEFT_MODEL_FOLDER' });
    expect(await withModel(changedModel({ 'config.json': null }))).toMatchObject({
      code: 'PEFT_CONFIG_MISSING',
    });
    expect(
      await withModel(changedModel({ 'config.json': () => '{"model_type":"debertav2"}' })),
    ).toMatchObject({
      code: 'PEFT_MODEL_TYPE',
      message: expect.stringContaining('"deberta-v2"') as string,
    });
  });

  it('no tokenizer, or half of one', async () => {
    expect(await withModel(changedModel({ 'tokenizer.json': null }))).toMatchObject({
      code: 'PEFT_TOKENIZER_MISSING',
    });
    expect(
      await withModel(changedModel({ 'tokenizer.json': (bytes) => bytes.subarray(0, 1000) })),
    ).toMatchObject({ code: 'PEFT_TOKENIZER_INVALID' });
  });

  it('no weights, or cut-off ones', async () => {
    expect(await withModel(changedModel({ 'model.safetensors': null }))).toMatchObject({
      code: 'PEFT_CHECKPOINT_MISSING',
    });
    for (const size of [0, 4, 100, 1_000_000]) {
      const { code } = await withModel(
        changedModel({ 'model.safetensors': (bytes) => bytes.subarray(0, size) }),
      );
      expect(code, `${size} bytes`).toMatch(/^PEFT_SAFETENSORS_/);
    }
  });

  it('a header that lies: overlaps, offsets past the end, a length beyond all measure', async () => {
    const lying = (change: Parameters<typeof withHeader>[1], length?: bigint) =>
      withModel(
        changedModel({ 'model.safetensors': (bytes) => withHeader(bytes, change, length) }),
      );
    const tensors = (header: Record<string, { data_offsets: [number, number] }>) =>
      Object.entries(header)
        .filter(([name]) => name !== '__metadata__')
        .map(([, tensor]) => tensor);
    const cases = [
      await lying((header) => {
        tensors(header)[1]!.data_offsets = [
          0,
          tensors(header)[1]!.data_offsets[1] - tensors(header)[1]!.data_offsets[0],
        ];
      }),
      await lying((header) => {
        const last = tensors(header).at(-1)!;
        last.data_offsets = [last.data_offsets[0] + 2 ** 40, last.data_offsets[1] + 2 ** 40];
      }),
      await lying(() => undefined, 2n ** 62n),
    ];
    for (const { code } of cases) expect(code).toMatch(/^PEFT_SAFETENSORS_/);
  });

  it.each([
    [{ intermediate_size: 512 }, /\[1024, 256\], the config asks for \[512, 256\]/],
    [{ hidden_size: 512, pooler_hidden_size: 512 }, /\[32000, 256\].*; and \d+ more\.$/m],
    [{ vocab_size: 2 ** 27 }, /the config asks for \[134217728, 256\]\.$/m],
    [{ position_buckets: 2 ** 20 }, /rel_embeddings\.weight: the checkpoint holds \[128, 256\]/],
  ])('a config that says %j is not of those weights', async (sizes, message) => {
    const config = (bytes: Buffer): string =>
      JSON.stringify({ ...(JSON.parse(bytes.toString()) as object), ...sizes });
    expect(await withModel(changedModel({ 'config.json': config }))).toMatchObject({
      code: 'PEFT_WEIGHT_SHAPE',
      message: expect.stringMatching(message) as string,
    });
  });
});
