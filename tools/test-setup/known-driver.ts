/** Before any test of a process starts WebGPU, which looks for drivers once. */
import { useSoftwareDriver } from './software-vulkan.js';

useSoftwareDriver();
