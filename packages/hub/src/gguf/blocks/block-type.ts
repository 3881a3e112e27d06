/** How a GGUF file stores the values of a tensor: blocks of so many values in so many bytes. */
export interface BlockType {
  /** As llama.cpp writes it, `Q4_K`. */
  readonly name: string;
  /** `ggml_type` in the file. */
  readonly id: number;
  /** Values of a block; rows are whole numbers of blocks. */
  readonly blockSize: number;
  readonly blockBytes: number;
  /**
   * The values of whole blocks, exactly as gguf-py computes them in float32.
   * @param values `[blocks · blockSize]`, written.
   */
  dequantize(bytes: Uint8Array, values: Float32Array): void;
  /**
   * Absent where there is no writer.
   * @param bytes `[blocks · blockBytes]`, written.
   */
  quantize?(values: Float32Array, bytes: Uint8Array): void;
}

/** Makes a type whose blocks are read and written one at a time. */
export function blockwise(
  type: Omit<BlockType, 'dequantize' | 'quantize'> & {
    /** @param at where the block begins in `bytes`. @param to where its values go. */
    read(bytes: Uint8Array, at: number, values: Float32Array, to: number): void;
    write?(values: Float32Array, from: number, bytes: Uint8Array, at: number): void;
  },
): BlockType {
  const { read, write, ...about } = type;
  const { blockSize, blockBytes } = about;
  const each = (length: number, body: (block: number) => void): void => {
    for (let block = 0; block < length / blockBytes; block += 1) body(block);
  };
  return Object.freeze<BlockType>({
    ...about,
    dequantize(bytes, values) {
      each(bytes.length, (block) => read(bytes, block * blockBytes, values, block * blockSize));
    },
    quantize:
      write &&
      ((values, bytes) =>
        each(bytes.length, (block) => write(values, block * blockSize, bytes, block * blockBytes))),
  });
}
