import { describe, expect, test } from 'vitest';
import { type ModelFileKind, selectModelFiles } from './model-files.js';

const all: ModelFileKind[] = ['config', 'tokenizer', 'weights'];

describe('selectModelFiles', () => {
  test('takes one form of the weights and of the tokenizer', () => {
    const names = [
      '.gitattributes',
      'README.md',
      'config.json',
      'flax_model.msgpack',
      'generation_config.json',
      'model.safetensors',
      'onnx',
      'pytorch_model.bin',
      'sentencepiece.bpe.model',
      'special_tokens_map.json',
      'tf_model.h5',
      'tokenizer.json',
      'tokenizer_config.json',
    ];
    expect(selectModelFiles(names, all)).toEqual({
      files: [
        'config.json',
        'generation_config.json',
        'tokenizer.json',
        'tokenizer_config.json',
        'special_tokens_map.json',
        'model.safetensors',
      ],
      missing: [],
    });
  });

  test('falls back to a pickle and to the vocabulary', () => {
    expect(
      selectModelFiles(
        ['config.json', 'pytorch_model.bin', 'spm.model', 'tokenizer_config.json', 'tf_model.h5'],
        all,
      ),
    ).toEqual({
      files: ['config.json', 'spm.model', 'tokenizer_config.json', 'pytorch_model.bin'],
      missing: [],
    });
    expect(selectModelFiles(['vocab.json', 'merges.txt'], ['tokenizer']).files).toEqual([
      'vocab.json',
      'merges.txt',
    ]);
  });

  test('names the index of shards', () => {
    const names = [
      'config.json',
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
      'model.safetensors.index.json',
      'pytorch_model.bin',
    ];
    expect(selectModelFiles(names, ['weights'])).toEqual({
      files: ['model.safetensors.index.json'],
      index: 'model.safetensors.index.json',
      missing: [],
    });
  });

  test('takes an adapter, and nothing that was not asked for', () => {
    const names = [
      'README.md',
      'adapter_config.json',
      'adapter_model.bin',
      'adapter_model.safetensors',
      'tokenizer.json',
    ];
    expect(selectModelFiles(names, ['adapter'])).toEqual({
      files: ['adapter_config.json', 'adapter_model.safetensors'],
      missing: [],
    });
    expect(selectModelFiles(['adapter_model.safetensors'], ['adapter']).missing).toEqual([
      'adapter',
    ]);
  });

  test('says what cannot be had', () => {
    expect(selectModelFiles(['flax_model.msgpack'], all).missing).toEqual([
      'config',
      'tokenizer',
      'weights',
    ]);
  });
});
