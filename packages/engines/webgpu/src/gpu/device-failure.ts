/** What went wrong on the device, under a name. */
import { PeftError } from '@peft/errors';

/**
 * Keeps the first thing that a device reported. A device reports later than it is asked, so whoever
 * reads or records next is told.
 */
export class DeviceFailure {
  #first: PeftError | undefined;

  constructor(device: GPUDevice) {
    device.addEventListener('uncapturederror', (event) => {
      this.#first ??= namedError(event.error);
    });
    void device.lost.then(({ reason, message }) => {
      if (reason !== 'destroyed') this.#first = lostError(message);
    });
  }

  /** Whether the device can be used no more. */
  get isLost(): boolean {
    return this.#first?.code === 'PEFT_WEBGPU_DEVICE_LOST';
  }

  /**
   * What has failed so far.
   * @throws PEFT_DEVICE_MEMORY, PEFT_WEBGPU_DEVICE_LOST, PEFT_WEBGPU_VALIDATION; after the last two
   *   it does so for good
   */
  check(): void {
    const failure = this.#first;
    if (!failure) return;
    if (failure.code === 'PEFT_DEVICE_MEMORY') this.#first = undefined;
    throw failure;
  }
}

function namedError(error: GPUError): PeftError {
  const [first = ''] = error.message.trim().split('\n');
  // the binding for Node and pages agree on the class's name alone
  if (error.constructor.name === 'GPUOutOfMemoryError') return memoryError(first);
  return new PeftError('PEFT_WEBGPU_VALIDATION', `webgpu: the device refused a command: ${first}`, {
    hint:
      'this is a fault of the engine, or of the driver: compute with another engine, and ' +
      'report the message',
    cause: error,
  });
}

export const memoryError = (what: string): PeftError =>
  new PeftError('PEFT_DEVICE_MEMORY', `webgpu: the device is out of memory: ${what}`, {
    hint: 'take a smaller batch, shorter texts, gradient checkpointing, or a model in 4 bits',
  });

export const lostError = (message: string): PeftError =>
  new PeftError(
    'PEFT_WEBGPU_DEVICE_LOST',
    `webgpu: the device is lost: ${message.trim().split('\n')[0] ?? ''}`,
    { hint: 'the driver was reset or the card taken away: start again from the last checkpoint' },
  );
