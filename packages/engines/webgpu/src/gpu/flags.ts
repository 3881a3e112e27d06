/** WebGPU's flags by their numbers, which no page or module has to be asked for. */

export const BUFFER_USAGE = Object.freeze({
  mapRead: 0x1,
  copySource: 0x4,
  copyTarget: 0x8,
  uniform: 0x40,
  storage: 0x80,
});
export const MAP_READ = 0x1;
export const STAGE_COMPUTE = 0x4;
