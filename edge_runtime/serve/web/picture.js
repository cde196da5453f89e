// From a file to the data URL that a request holds; made smaller only where the server would not take it.

const SIDES = [4096, 3072, 2200, 1600]; // pixels; at 1,600 a page's finest line is still wider than one
const WORDS = 65536; // bytes of a request beside its picture

export class TooLarge extends Error {}
export class Unreadable extends Error {}

export async function prepared(file, limits) {
  const most = Math.floor(((limits.max_bytes - WORDS) * 3) / 4); // base64 makes four bytes of three
  if (!file.size) throw new Unreadable();
  const mayBeLarge = file.type.startsWith("image/") && file.type !== "image/jpeg"; // a JPEG is decoded small enough there
  if (file.size <= most && !(mayBeLarge && (await pixels(file)) > limits.max_pixels)) return dataUrl(file);
  return dataUrl(await smaller(file, most));
}

async function pixels(file) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  const count = bitmap ? bitmap.width * bitmap.height : 0; // what only the server can read, the server judges
  bitmap?.close();
  return count;
}

async function smaller(file, most) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) throw new TooLarge();
  const canvas = document.createElement("canvas");
  for (const side of SIDES) {
    const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
    canvas.width = Math.round(bitmap.width * scale);
    canvas.height = Math.round(bitmap.height * scale);
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#fff"; // what was transparent lies on white
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9));
    if (blob && blob.size <= most) return blob;
  }
  throw new TooLarge();
}

function dataUrl(blob) {
  const named = blob.type ? blob : new Blob([blob], { type: "application/octet-stream" });
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(new Unreadable());
    reader.readAsDataURL(named);
  });
}
