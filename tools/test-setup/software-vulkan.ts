/**
 * A Vulkan driver for the tests: the machine's own, else the software one (SwiftShader) that comes
 * with Debian's chromium, whose loader is beside it.
 */
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';

const CHROMIUM = '/usr/lib/chromium';
/** Of the C library: a module that was opened with it stays loaded, though it is none of Node's. */
const NO_DELETE = 0x1000;

/**
 * Makes the software driver known to this process where no other is.
 * @returns why there is none, or undefined
 */
export function useSoftwareDriver(): string | undefined {
  if (process.env['VK_DRIVER_FILES'] || process.env['VK_ICD_FILENAMES']) return undefined;
  if (process.platform !== 'linux') return undefined; // Metal and D3D12 are always there
  const description = join(CHROMIUM, 'vk_swiftshader_icd.json');
  const loader = join(CHROMIUM, 'libvulkan.so.1');
  if (!existsSync(description) || !existsSync(loader))
    return `no Vulkan driver: ${CHROMIUM} (Debian's package chromium) has none, and VK_DRIVER_FILES names none`;
  process.env['VK_DRIVER_FILES'] = description;
  try {
    // Dawn asks for libvulkan.so.1 by name, and finds the one that is loaded
    process.dlopen({ exports: {} }, loader, constants.dlopen.RTLD_NOW | NO_DELETE);
  } catch {
    // it says that this is no module of Node's, which it need not be
  }
  return undefined;
}
