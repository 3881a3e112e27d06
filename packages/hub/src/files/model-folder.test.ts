import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorCode, errorOf } from '../../test/support/error-code.js';
import { fixturePath, temporaryFolder } from '../../test/support/paths.js';
import { readModelConfig, readModelFolder, readTokenizerFiles } from './model-folder.js';

const deberta = fixturePath('models/deberta-v2');

describe('readModelFolder', () => {
  test('gives the configuration and what there is of a tokenizer', () => {
    const { folder, config, generationConfig, tokenizerFiles } = readModelFolder(deberta);
    expect(folder).toBe(deberta);
    expect(config).toMatchObject({ model_type: 'deberta-v2', vocab_size: 728 });
    expect(generationConfig).toBeUndefined();
    expect(Object.keys(tokenizerFiles).sort()).toEqual([
      'sentencePiecePath',
      'tokenizerConfig',
      'tokenizerJson',
    ]);
    expect(tokenizerFiles.sentencePiecePath).toBe(join(deberta, 'spm.model'));
    expect(tokenizerFiles.tokenizerJson).toHaveProperty('model.type', 'Unigram');
  });

  test('does with a SentencePiece model or a vocabulary alone', () => {
    const folder = temporaryFolder();
    cpSync(join(fixturePath('models/mistral'), 'tokenizer.model'), join(folder, 'tokenizer.model'));
    expect(readTokenizerFiles(folder)).toEqual({
      tokenizerConfig: {},
      sentencePiecePath: join(folder, 'tokenizer.model'),
    });
    writeFileSync(join(folder, 'vocab.json'), '{}');
    writeFileSync(join(folder, 'merges.txt'), '');
    expect(readTokenizerFiles(folder)).toMatchObject({
      vocabularyPath: join(folder, 'vocab.json'),
      mergesPath: join(folder, 'merges.txt'),
    });
  });

  test('reads a bare config.json by its folder or by its name, without a tokenizer or weights', () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'config.json'), '{"model_type":"bert"}');
    expect(readModelConfig(folder)).toEqual({ model_type: 'bert' });
    expect(readModelConfig(join(folder, 'config.json'))).toEqual({ model_type: 'bert' });
  });

  test('says which file is missing or what is wrong with it', async () => {
    const folder = temporaryFolder();
    expect(await errorCode(() => readModelFolder(join(folder, 'none')))).toBe('PEFT_MODEL_FOLDER');
    expect(await errorCode(() => readModelFolder(folder))).toBe('PEFT_CONFIG_MISSING');
    writeFileSync(join(folder, 'config.json'), '{"model_type":"bert"}');
    expect(await errorCode(() => readModelFolder(folder))).toBe('PEFT_TOKENIZER_MISSING');
    writeFileSync(join(folder, 'tokenizer.json'), '{"model":');
    const error = await errorOf(() => readModelFolder(folder));
    expect(error.code).toBe('PEFT_JSON_INVALID');
    expect(error.message).toContain(join(folder, 'tokenizer.json'));
    for (const text of ['[]', 'null', '3', '{"a":1,"a":2}', '{"a":NaN}']) {
      writeFileSync(join(folder, 'config.json'), text);
      expect(await errorCode(() => readModelConfig(folder))).toBe('PEFT_JSON_INVALID');
    }
    mkdirSync(join(folder, 'sub', 'config.json'), { recursive: true });
    expect(await errorCode(() => readModelConfig(join(folder, 'sub')))).toBe('PEFT_JSON_INVALID');
  });
});
