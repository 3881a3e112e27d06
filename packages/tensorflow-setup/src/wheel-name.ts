/** What a wheel's file name says (PEP 427), and whether it runs here. */
import { PeftError } from '@peft/errors';

export interface WheelName {
  readonly package: string;
  readonly version: string;
  readonly platforms: readonly string[];
}

/** undefined for a file that is no wheel. */
export function parseWheelName(file: string): WheelName | undefined {
  const [, name, version, platforms] =
    /^([\w.]+)-([\w.+!]+)(?:-\d\w*)?-[\w.]+-[\w.]+-([\w.]+)\.whl$/.exec(file) ?? [];
  return name
    ? {
        package: name.toLowerCase().replace(/[_.]/g, '-'),
        version: version!,
        platforms: platforms!.split('.'),
      }
    : undefined;
}

export interface Platform {
  readonly os: string;
  readonly arch: string;
  /** `2.36`; undefined where the C library is another. */
  readonly glibc: string | undefined;
}

export function thisPlatform(): Platform {
  // typed as `object`
  const { header } = process.report.getReport() as unknown as {
    header: { glibcVersionRuntime?: string };
  };
  return { os: process.platform, arch: process.arch, glibc: header.glibcVersionRuntime };
}

const ARCHITECTURES: Readonly<Record<string, readonly string[]>> = Object.freeze({
  x64: ['x86_64'],
  arm64: ['aarch64', 'arm64'],
});

/** @throws PEFT_SETUP_WHEEL when no platform of the wheel is this one */
export function checkWheelPlatform(
  file: string,
  { os, arch, glibc }: Platform = thisPlatform(),
): void {
  const wheel = parseWheelName(file);
  if (!wheel) return;
  const architectures = ARCHITECTURES[arch] ?? [];
  const problems = wheel.platforms.map((platform): string | undefined => {
    if (platform === 'any') return undefined;
    if (
      !architectures.some(
        (name) => platform.endsWith(`_${name}`) || platform.endsWith('_universal2'),
      )
    )
      return `this is ${arch}`;
    const [, major, minor] =
      /^manylinux_(\d+)_(\d+)_/.exec(platform) ??
      /^manylinux(2)0(14)_/.exec(platform)?.map((part, i) => (i === 2 ? '17' : part)) ??
      [];
    if (os === 'linux' && glibc === undefined && platform.startsWith('manylinux'))
      return 'this system has another C library than glibc';
    if (os === 'linux' && major)
      return atLeast(glibc!, [Number(major), Number(minor)])
        ? undefined
        : `this system's glibc is ${glibc}`;
    if (os === 'linux')
      return platform.startsWith('linux_') || platform.startsWith('manylinux')
        ? undefined
        : 'this is Linux';
    return os === 'darwin' && platform.startsWith('macosx_') ? undefined : `this is ${os}`;
  });
  if (problems.every((problem) => problem !== undefined))
    throw new PeftError(
      'PEFT_SETUP_WHEEL',
      `setup: ${file} does not run here: it is for ${wheel.platforms.join(', ')}, and ${problems[0]}.`,
      { hint: 'fetch the wheel for this machine, or leave --from out: pip chooses one' },
    );
}

function atLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [ownMajor, ownMinor] = version.split('.').map(Number) as [number, number];
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}
