/**
 * What follows a reader: the picture, kept by the browser on this machine and sent nowhere; and, in
 * the address, what can be linked to.
 */

const DATABASE = "vitlit";
const STORE = "picture";
const KEY = "own";
const CHANGED = "vitlit-picture";

/** The reader's own picture; null where there is none, or the browser keeps nothing. */
export async function recall(): Promise<Blob | null> {
  return ((await inStore("readonly", (store) => store.get(KEY))) as Blob | undefined) ?? null;
}

/** Keep the reader's own picture for the other pages, and tell the others on this one. */
export async function remember(picture: Blob): Promise<void> {
  await inStore("readwrite", (store) => store.put(picture, KEY));
  document.dispatchEvent(new CustomEvent(CHANGED, { detail: picture }));
}

/** Forget it. */
export async function forget(): Promise<void> {
  await inStore("readwrite", (store) => store.delete(KEY));
  document.dispatchEvent(new CustomEvent(CHANGED, { detail: null }));
}

/** Hear of another picture, or that it was forgotten. */
export function onPicture(hear: (picture: Blob | null) => void): void {
  document.addEventListener(CHANGED, (event) => hear((event as CustomEvent<Blob | null>).detail));
}

/** The state in the address, of who writes it there. */
export function address(): URLSearchParams {
  return new URLSearchParams(location.search);
}

/**
 * Change the state in the address; null takes a name out of it. No step back is added. One state has
 * one address, whatever came first.
 */
export function note(changes: Record<string, string | null>): void {
  const to = new URL(location.href);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) to.searchParams.delete(name);
    else to.searchParams.set(name, value);
  }
  to.searchParams.sort();
  history.replaceState(history.state, "", to);
}

/** One request to the store. A browser that keeps nothing, as in a private window, is no error. */
async function inStore(
  mode: IDBTransactionMode,
  request: (store: IDBObjectStore) => IDBRequest,
): Promise<unknown> {
  try {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    const database = (await settled(opening)) as IDBDatabase;
    try {
      return await settled(request(database.transaction(STORE, mode).objectStore(STORE)));
    } finally {
      database.close();
    }
  } catch {
    return undefined;
  }
}

function settled(request: IDBRequest): Promise<unknown> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
