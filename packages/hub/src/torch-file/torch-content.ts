/** What a torch file holds: the unpickled object, and where each storage's bytes begin. */
export interface TorchContent {
  readonly object: unknown;
  readonly byteOffsets: ReadonlyMap<string, number>;
}
