/**
 * Records kernels and hands them to the device many at a time. What a kernel is told beside its
 * buffers lies in one uniform buffer that is written once a batch.
 */
import type { Block } from './buffer-pool.js';
import type { DeviceFailure } from './device-failure.js';
import { BUFFER_USAGE, STAGE_COMPUTE } from './flags.js';
import { MOST_COUNTS, MOST_NUMBERS, moduleText, type KernelSource } from './kernel-source.js';

/** Kernels of a batch. */
const BATCH = 256;
const PARAMETER_WORDS = MOST_COUNTS + MOST_NUMBERS;
const PARAMETER_BYTES = 4 * PARAMETER_WORDS;
/** Bind groups that are kept for kernels that come again with the same buffers. */
const KEPT_GROUPS = 8192;

/** One run of a kernel. */
export interface Dispatch {
  readonly source: KernelSource;
  /** Inputs, then outputs, in the source's order; no output is an input as well. */
  readonly blocks: readonly Block[];
  readonly counts?: readonly number[];
  readonly numbers?: readonly number[];
  /** Workgroups in x and y. */
  readonly groups: readonly [number, number];
}

/** What was done so far. */
export interface StreamCounts {
  readonly dispatches: number;
  readonly submissions: number;
  /** Bytes that kernels were bound to: an upper bound of what they moved. */
  readonly boundBytes: number;
  readonly pipelines: number;
}

/** What was read and written, weights included. */
export interface TransferCounts {
  /** Times that somebody waited for values of the device. */
  readonly waits: number;
  readonly readBytes: number;
  readonly uploadBytes: number;
}

interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export class CommandStream {
  readonly #words = new Uint32Array(BATCH * PARAMETER_WORDS);
  readonly #floats = new Float32Array(this.#words.buffer);
  readonly #uniform: GPUBuffer;
  readonly #pipelines = new Map<string, Pipeline>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #groups = new Map<string, GPUBindGroup>();
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #recorded = 0;
  #hasCopies = false;
  #batch = 1;
  #counts = { dispatches: 0, submissions: 0, boundBytes: 0 };
  #transfers = { waits: 0, readBytes: 0, uploadBytes: 0 };

  constructor(
    readonly device: GPUDevice,
    private readonly failure: DeviceFailure,
  ) {
    this.#uniform = device.createBuffer({
      size: BATCH * PARAMETER_BYTES,
      usage: BUFFER_USAGE.uniform | BUFFER_USAGE.copyTarget,
    });
  }

  get counts(): StreamCounts {
    return { ...this.#counts, pipelines: this.#pipelines.size };
  }

  get transfers(): TransferCounts {
    return { ...this.#transfers };
  }

  /** Records one run. Nothing is computed before {@link flush} or a full batch. */
  run({ source, blocks, counts = [], numbers = [], groups }: Dispatch): void {
    if (groups[0] === 0 || groups[1] === 0) return;
    if (this.#recorded === BATCH) this.flush();
    const start = this.#recorded * PARAMETER_WORDS;
    for (let n = 0; n < counts.length; n += 1) this.#words[start + n] = counts[n]!;
    for (let n = 0; n < numbers.length; n += 1) this.#floats[start + MOST_COUNTS + n] = numbers[n]!;
    const { pipeline, layout } = this.#pipelineOf(source);
    const pass = (this.#pass ??= this.#encoderNow().beginComputePass());
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, this.#groupOf(source, layout, blocks), [this.#recorded * PARAMETER_BYTES]);
    pass.dispatchWorkgroups(groups[0], groups[1]);
    this.#recorded += 1;
    this.#counts.dispatches += 1;
    for (const block of blocks) {
      block.batch = this.#batch;
      this.#counts.boundBytes += block.usedBytes;
    }
  }

  /** Copies bytes, all three multiples of 4, in the order of the recorded kernels. */
  copy(from: Block, fromByte: number, to: Block | GPUBuffer, toByte: number, bytes: number): void {
    if (bytes === 0) return;
    this.#endPass();
    const target = 'buffer' in to ? to.buffer : to;
    this.#encoderNow().copyBufferToBuffer(from.buffer, fromByte, target, toByte, bytes);
    from.batch = this.#batch;
    if ('buffer' in to) to.batch = this.#batch;
    this.#hasCopies = true;
  }

  /** Writes values from this side, after everything recorded so far that uses the block. */
  upload(block: Block, values: ArrayBufferView, toByte = 0): void {
    if (values.byteLength === 0) return;
    if (block.batch === this.#batch) this.flush();
    this.#transfers.uploadBytes += values.byteLength;
    const whole = values.byteLength & ~3;
    const { buffer, byteOffset } = values;
    this.device.queue.writeBuffer(block.buffer, toByte, buffer as ArrayBuffer, byteOffset, whole);
    if (whole < values.byteLength) {
      const tail = new Uint8Array(4); // a buffer is written in fours
      tail.set(new Uint8Array(buffer, byteOffset + whole, values.byteLength - whole));
      this.device.queue.writeBuffer(block.buffer, toByte + whole, tail);
    }
  }

  /** Copies a block's first bytes to `staging` and submits, for somebody who waits for them. */
  readInto(staging: GPUBuffer, block: Block, bytes: number): void {
    this.#transfers.waits += 1;
    this.#transfers.readBytes += bytes;
    this.copy(block, 0, staging, 0, bytes);
    this.flush();
  }

  /**
   * Submits what is recorded.
   * @throws what the device has reported so far
   */
  flush(): void {
    this.failure.check();
    if (this.#recorded === 0 && !this.#hasCopies) return;
    this.#endPass();
    this.device.queue.writeBuffer(
      this.#uniform,
      0,
      this.#words.buffer,
      0,
      this.#recorded * PARAMETER_BYTES,
    );
    this.device.queue.submit([this.#encoder!.finish()]);
    this.#encoder = undefined;
    this.#recorded = 0;
    this.#hasCopies = false;
    this.#batch += 1;
    this.#counts.submissions += 1;
  }

  /** Before a block's buffer is destroyed. */
  forget(block: Block): void {
    if (block.batch === this.#batch) this.flush();
    const part = `:${block.id}:`;
    for (const key of this.#groups.keys()) if (key.includes(part)) this.#groups.delete(key);
  }

  #encoderNow(): GPUCommandEncoder {
    return (this.#encoder ??= this.device.createCommandEncoder());
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
  }

  #pipelineOf(source: KernelSource): Pipeline {
    const known = this.#pipelines.get(source.name);
    if (known) return known;
    const layout = this.#layoutOf(source);
    const made: Pipeline = {
      layout,
      pipeline: this.device.createComputePipeline({
        label: source.name,
        layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: {
          module: this.device.createShaderModule({ label: source.name, code: moduleText(source) }),
          entryPoint: 'main',
        },
      }),
    };
    this.#pipelines.set(source.name, made);
    return made;
  }

  #layoutOf({ inputs, outputs }: KernelSource): GPUBindGroupLayout {
    const key = `${inputs.length},${outputs.length}`;
    const known = this.#layouts.get(key);
    if (known) return known;
    const entry = (binding: number, type: GPUBufferBindingType) => ({
      binding,
      visibility: STAGE_COMPUTE,
      buffer: { type },
    });
    const made = this.device.createBindGroupLayout({
      entries: [
        {
          binding: 0,
          visibility: STAGE_COMPUTE,
          buffer: {
            type: 'uniform',
            hasDynamicOffset: true,
            minBindingSize: PARAMETER_BYTES,
          },
        },
        ...inputs.map((_, n) => entry(n + 1, 'read-only-storage')),
        ...outputs.map((_, n) => entry(inputs.length + n + 1, 'storage')),
      ],
    });
    this.#layouts.set(key, made);
    return made;
  }

  #groupOf(
    { inputs, outputs }: KernelSource,
    layout: GPUBindGroupLayout,
    blocks: readonly Block[],
  ): GPUBindGroup {
    const key = `${inputs.length},${outputs.length}:${blocks.map(({ id }) => id).join(':')}:`;
    const known = this.#groups.get(key);
    if (known) return known;
    if (this.#groups.size >= KEPT_GROUPS) this.#groups.clear();
    const made = this.device.createBindGroup({
      layout,
      entries: [
        { binding: 0, resource: { buffer: this.#uniform, size: PARAMETER_BYTES } },
        ...blocks.map(({ buffer }, n) => ({ binding: n + 1, resource: { buffer } })),
      ],
    });
    this.#groups.set(key, made);
    return made;
  }
}
