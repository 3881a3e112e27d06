/** The formats that may be named, which a third party can add to. */
import { compose, override, token, type Module } from '@peft/core';
import { didYouMean, PeftError, show } from '@peft/errors';
import type { ExportFormat } from './format.js';
import { gguf } from './formats/gguf/gguf.js';
import { ggufLora } from './formats/gguf-lora/gguf-lora.js';
import { lora } from './formats/lora/lora.js';
import { mlx } from './formats/mlx/mlx.js';
import { onnx } from './formats/onnx/onnx.js';
import { ollama } from './formats/ollama/ollama.js';
import { adapterHub, peft } from './formats/adapter-layouts/adapter-layouts.js';
import { safetensors } from './formats/safetensors/safetensors.js';

/** Every format of this package. */
export const allFormats: readonly ExportFormat[] = Object.freeze([
  safetensors,
  gguf,
  ggufLora,
  ollama,
  mlx,
  onnx,
  peft,
  adapterHub,
  lora,
]);

/** Formats that may be named. */
export const EXPORT_FORMATS = token<readonly ExportFormat[]>('the export formats');

/**
 * A module that makes further formats known: `exportModel(…, { modules: [withFormats(mine)] })`.
 * @param formats what `defineFormat` made; they come before ours
 */
export const withFormats = (...formats: readonly ExportFormat[]): Module =>
  override((bind) => bind(EXPORT_FORMATS, () => [...formats, ...allFormats]));

/**
 * The format of that name.
 * @param modules that may bind further ones.
 * @throws PEFT_EXPORT_FORMAT naming the nearest
 */
export function formatNamed(name: string, modules: readonly Module[] = []): ExportFormat {
  return formatAmong(formatsWith(modules), name, 'export');
}

/**
 * That a format of that name writes adapters.
 * @throws PEFT_EXPORT_FORMAT for one of whole models, and naming the nearest of those of adapters
 */
export function checkAdapterFormat(name: string, modules: readonly Module[] = []): void {
  const formats = formatsWith(modules);
  const isOfAdapters = ({ isAdapter = false }: ExportFormat): boolean => isAdapter;
  if (formats.some((format) => format.name === name && !isOfAdapters(format)))
    throw new PeftError('PEFT_EXPORT_FORMAT', `convert: ${name} is a format of whole models.`, {
      hint: 'write it with exportModel (CLI: peft export)',
    });
  formatAmong(formats.filter(isOfAdapters), name, 'convert');
}

function formatsWith(modules: readonly Module[]): readonly ExportFormat[] {
  const app = compose(
    (bind) => bind(EXPORT_FORMATS, () => allFormats),
    ...modules.map((module) => override(module)),
  );
  return app.get(EXPORT_FORMATS);
}

function formatAmong(formats: readonly ExportFormat[], name: string, owner: string): ExportFormat {
  const found = formats.find((format) => format.name === name);
  if (found) return found;
  const names = formats.map((format) => format.name);
  throw new PeftError('PEFT_EXPORT_FORMAT', `${owner}: there is no format ${show(name)}.`, {
    hint: `${didYouMean(String(name), names)} Formats: ${names.join(', ')}.`.trim(),
  });
}
