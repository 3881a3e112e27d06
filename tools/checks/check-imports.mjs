/**
 * Fails when a package imports one that lies above or beside it, and when files of a package import
 * each other in a circle: `node tools/checks/check-imports.mjs`.
 *
 * Each package names here what it may import. Tests may also import what they test with. Declared
 * dependencies and imports must agree, so that a packed package installs what it needs.
 */
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { folderOf, packageFolders, ROOT as root } from '../packages.mjs';
import { importCircles } from './import-circles.mjs';
import { sourceFiles, specifiersOf } from './imports-of.mjs';

/** Package → packages of ours that its sources may import. */
const LAYERS = JSON.parse(readFileSync(join(root, 'tools/checks/import-layers.json'), 'utf8'));
/** What a package may import that the table leaves out: a method. */
const METHOD_LAYER = ['errors', 'ops', 'core'];
const problems = [];
for (const place of packageFolders()) {
  const folder = join(root, place);
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const name = manifest.name.slice('@peft/'.length);
  const allowed = LAYERS[name] ?? METHOD_LAYER;
  const declared = new Set(
    Object.keys({
      ...manifest.dependencies,
      ...manifest.peerDependencies,
      ...manifest.optionalDependencies,
    }),
  );
  const imported = new Set();
  for (const file of sourceFiles(join(folder, 'src'))) {
    if (/\.test(-d)?\.ts$/.test(file)) continue;
    for (const specifier of specifiersOf(file)) {
      if (specifier.startsWith('.') || specifier.startsWith('node:')) continue;
      const packageName = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
      imported.add(packageName);
      if (
        packageName.startsWith('@peft/') &&
        packageName !== `@peft/${name}` &&
        !allowed.includes(packageName.slice(6))
      ) {
        problems.push(
          `${relative(root, file)}: ${name} must not import ${packageName} (allowed: ${allowed.join(', ')})`,
        );
      }
      if (
        specifier.startsWith('@peft/') &&
        specifier.split('/').length > 2 &&
        !manifestExports(packageName, specifier)
      )
        problems.push(
          `${relative(root, file)}: import ${packageName}, not the inner path ${specifier}`,
        );
      if (packageName !== `@peft/${name}` && !declared.has(packageName))
        problems.push(
          `${relative(root, file)}: ${packageName} is not among the dependencies of ${place}/package.json`,
        );
    }
  }
  // A peer of a dependency is there once for all, so whoever uses the dependency declares it.
  const inherited = new Set(
    [...declared]
      .filter((dependency) => dependency.startsWith('@peft/'))
      .flatMap((dependency) => requiredPeers(manifestOf(dependency))),
  );
  for (const peer of inherited)
    if (!declared.has(peer))
      problems.push(
        `${place}/package.json: a dependency has the peer ${peer}, which must be declared here, too`,
      );
  for (const dependency of declared) {
    if (inherited.has(dependency) || imported.has(dependency)) continue;
    if (!(manifest.peft?.usedOutsideSource ?? []).includes(dependency))
      problems.push(`${place}/package.json: ${dependency} is declared and never imported`);
  }
}
for (const place of [...packageFolders(), 'tools', 'benchmarks', 'examples']) {
  for (const { files, circle } of importCircles(join(root, place)))
    problems.push(
      `${place}: ${files.length} files import each other in a circle: ` +
        circle.map((file) => relative(join(root, place), file)).join(' → '),
    );
}
for (const problem of problems) console.error(problem);
console.log(
  problems.length ? `${problems.length} faults` : 'imports point down only, and in no circle',
);
process.exit(problems.length ? 1 : 0);

function requiredPeers({ peerDependencies = {}, peerDependenciesMeta = {} }) {
  return Object.keys(peerDependencies).filter((name) => !peerDependenciesMeta[name]?.optional);
}

function manifestOf(packageName) {
  return JSON.parse(readFileSync(join(root, folderOf(packageName), 'package.json'), 'utf8'));
}

function manifestExports(packageName, specifier) {
  return Object.hasOwn(manifestOf(packageName).exports, `.${specifier.slice(packageName.length)}`);
}
