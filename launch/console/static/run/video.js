/**
 * Pictures from the console to canvases. The console sends at most two pictures of a camera that were not yet
 * seen, so a picture counts as seen only when it is painted: a slow page gets fewer pictures, never older ones.
 *
 * Nothing is asked for while no canvas is shown or the tab is hidden.
 */

import { backoff, socketAddress } from "../live.js";

const FPS = 30;
const KEPT = 600;

/** The pictures of one page. */
export class Video {
  #live;
  #socket = null;
  #attempt = 0;
  #shows = new Map(); // camera → Set of canvases
  #painted = new Map(); // camera → {sequence, takenMs, at}: at is performance.now()
  #decoder = new TextDecoder();

  /** @param {import("../live.js").Live} live */
  constructor(live) {
    this.#live = live;
    /** The last pictures painted, oldest first: {camera, sequence, t_ms, painted_ms}, on the server's clock. */
    this.frames = [];
    document.addEventListener("visibilitychange", () => this.#settle());
    // Where the one socket was lost the other may be as dead and not know it.
    live.on("connection", ({ connected }) => (connected ? this.#settle() : this.#hangUp()));
  }

  /**
   * Show a camera on a canvas, which takes the picture's size; its `data-sequence` names the picture.
   * @param {string} camera
   * @param {HTMLCanvasElement} canvas
   * @returns {() => void} ends it
   */
  show(camera, canvas) {
    if (!this.#shows.has(camera)) this.#shows.set(camera, new Set());
    this.#shows.get(camera).add(canvas);
    canvas.dataset.camera = camera;
    this.#settle();
    return () => {
      const canvases = this.#shows.get(camera);
      canvases?.delete(canvas);
      if (canvases?.size === 0) {
        this.#shows.delete(camera);
        this.#painted.delete(camera);
      }
      this.#settle();
    };
  }

  /**
   * How old the picture on the screen is [ms]: since it was painted, or since it was taken if that is longer ago.
   * Infinity before the first.
   */
  age(camera) {
    const painted = this.#painted.get(camera);
    return painted ? Math.max(performance.now() - painted.at, this.#live.serverNow() - painted.takenMs) : Infinity;
  }

  /** Ask for what is shown, or for nothing. */
  #settle() {
    const wanted = this.#shows.size > 0 && !document.hidden;
    this.#live.watch({ fps: wanted ? FPS : 0 }, "video");
    if (!wanted) return this.#hangUp();
    if (this.#socket === null || this.#socket.readyState > WebSocket.OPEN) this.#connect();
    else this.#want();
  }

  #hangUp() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #want() {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(JSON.stringify({ kind: "want", cameras: [...this.#shows.keys()] }));
  }

  #connect() {
    const socket = new WebSocket(socketAddress("/ws/video"));
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => this.#want();
    socket.onmessage = ({ data }) => {
      this.#attempt = 0;
      this.#take(socket, data);
    };
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      setTimeout(() => this.#socket === null && this.#settle(), backoff(this.#attempt));
      this.#attempt += 1;
    };
  }

  async #take(socket, data) {
    const length = new DataView(data).getUint32(0, true);
    const head = JSON.parse(this.#decoder.decode(new Uint8Array(data, 4, length)));
    let picture = null;
    try {
      picture = await createImageBitmap(new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }));
    } catch {
      // A picture that cannot be decoded is skipped; the next one comes.
    }
    const newer = head.sequence > (this.#painted.get(head.camera)?.sequence ?? -1) || this.age(head.camera) > 2000;
    if (picture !== null && newer) this.#paint(head, picture);
    picture?.close();
    // Stamped when the browser shows the page anew, not when the pixels were handed over to it.
    requestAnimationFrame(() => {
      if (picture !== null && newer) this.#note(head);
      if (socket.readyState !== WebSocket.OPEN) return;
      socket.send(JSON.stringify({ kind: "seen", camera: head.camera, sequence: head.sequence }));
    });
  }

  #paint(head, picture) {
    const canvases = this.#shows.get(head.camera);
    if (canvases === undefined) return;
    this.#painted.set(head.camera, { sequence: head.sequence, takenMs: head.t_ms, at: performance.now() });
    for (const canvas of canvases) {
      if (canvas.width !== picture.width || canvas.height !== picture.height) {
        canvas.width = picture.width;
        canvas.height = picture.height;
      }
      canvas.getContext("2d", { alpha: false }).drawImage(picture, 0, 0);
      canvas.dataset.sequence = head.sequence;
    }
  }

  #note({ camera, sequence, t_ms }) {
    this.frames.push({ camera, sequence, t_ms, painted_ms: this.#live.serverNow() });
    if (this.frames.length > KEPT) this.frames.splice(0, this.frames.length - KEPT);
  }
}
