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
  const app = compose(
    (bind) => bind(EXPORT_FORMATS, () => allFormats),
    ...modules.map((module) => override(module)),
  );
  const formats = app.get(EXPORT_FORMATS);
  const found = formats.find((format) => format.name === name);
  if (found) return found;
  const names = formats.map((format) => format.name);
  throw new PeftError('PEFT_EXPORT_FORMAT', `export: there is no format ${show(name)}.`, {
    hint: `${didYouMean(String(name), names)} Formats: ${names.join(', ')}.`.trim(),
  });
}
