/**
 * What `btrfs subvolume list -pcguqR` prints. Names may contain line breaks, and what looks like
 * further rows of the list: whoever makes a subvolume could forge others. Pure.
 */

/** The flags of `btrfs subvolume list` that make the rows. */
export const listFlags = "-pcguqR";

/** A row of the list. */
export interface Row {
  readonly id: number;
  /** The path from the top level, without a leading slash. */
  readonly path: string;
  /** The transaction in which it was changed last; taking a snapshot of it counts. */
  readonly generation: number;
  /** The transaction in which it was made: the later, the greater. */
  readonly madeIn: number;
  readonly uuid: string | undefined;
  /** The uuid of the subvolume that it was a snapshot of; undefined if of none. */
  readonly parentUuid: string | undefined;
  /** The uuid that it had where it was sent from; undefined if it was not received. */
  readonly receivedUuid: string | undefined;
}

const pattern =
  /^ID (\d+) gen (\d+) cgen (\d+) parent \d+ top level \d+ parent_uuid +(\S+) +received_uuid +(\S+) +uuid +(\S+) path /my;

/** The row that begins at an offset of the list, and where its path begins. */
function rowAt(list: string, offset: number): { row: Omit<Row, "path">; end: number } | undefined {
  pattern.lastIndex = offset;
  const match = pattern.exec(list);
  if (match === null) return undefined;
  const [id, generation, madeIn] = match.slice(1, 4).map(Number);
  const [parentUuid, receivedUuid, uuid] = match.slice(4).map((word) =>
    word === "-" ? undefined : word
  );
  return {
    row: {
      id: id!,
      generation: generation!,
      madeIn: madeIn!,
      uuid,
      parentUuid,
      receivedUuid,
    },
    end: pattern.lastIndex,
  };
}

/** The rows, if every line that looks like one is one; other lines continue a path. */
function plainRows(list: string): Row[] {
  const rows: { row: Omit<Row, "path">; lines: string[] }[] = [];
  let offset = 0;
  for (const line of list.split("\n")) {
    const found = rowAt(list, offset);
    if (found !== undefined) {
      rows.push({ row: found.row, lines: [line.slice(found.end - offset)] });
    } else {
      rows.at(-1)?.lines.push(line);
    }
    offset += line.length + 1;
  }
  // After the last row there is a line break, which ends it.
  rows.at(-1)?.lines.pop();
  return rows.map(({ row, lines }) => ({ ...row, path: lines.join("\n") }));
}

/**
 * The rows of a list, or undefined if it may have forged ones. A forged row follows the one whose
 * name it is in, whether the list ascends or descends: one of the two is out of order then.
 *
 * @param ascending the list sorted by id
 * @param descending the list sorted the other way round
 */
export function parseList(ascending: string, descending: string): Row[] | undefined {
  const rows = plainRows(ascending);
  const reversed = plainRows(descending).toReversed();
  const isSame = rows.length === reversed.length &&
    rows.every(({ id }, index) =>
      id === reversed[index]!.id && (index === 0 || rows[index - 1]!.id < id)
    );
  return isSame ? rows : undefined;
}
