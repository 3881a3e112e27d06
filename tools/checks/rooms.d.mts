export function checkRooms(
  root: string,
  places: readonly string[],
  files: readonly string[],
): string[];
