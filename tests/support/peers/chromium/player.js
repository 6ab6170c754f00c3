"use strict";

// A player of one file. Each function returns what a viewer would see.

const video = document.querySelector("video");

function event(name) {
  return new Promise((resolve, reject) => {
    video.addEventListener(name, resolve, { once: true });
    video.addEventListener("error", () => reject(new Error(video.error.message)), { once: true });
  });
}

// What is known of the next picture that comes to the screen.
function nextPicture() {
  return new Promise((resolve) => video.requestVideoFrameCallback((_, metadata) => resolve(metadata)));
}

async function load(source) {
  const loaded = Promise.all([event("loadeddata"), nextPicture()]);
  video.src = source;
  await loaded; // the first picture too, which may be shown later: it would be taken for the first one sought
  return { duration: video.duration, width: video.videoWidth, height: video.videoHeight };
}

// The picture that is shown at a time: when it begins, and what it looks like.
async function seek(seconds) {
  const shown = nextPicture();
  const sought = event("seeked");
  video.currentTime = seconds;
  await sought;
  const { mediaTime } = await shown;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  return { begins: mediaTime, width: canvas.width, height: canvas.height, png: canvas.toDataURL().split(",")[1] };
}

async function playThrough() {
  const sizes = [];
  const note = () => {
    const size = `${video.videoWidth}x${video.videoHeight}`;
    if (sizes.at(-1) !== size) sizes.push(size);
    video.requestVideoFrameCallback(note);
  };
  video.currentTime = 0;
  await event("seeked");
  video.requestVideoFrameCallback(note);
  const before = video.getVideoPlaybackQuality().totalVideoFrames;
  video.playbackRate = 8;
  const ended = event("ended");
  await video.play();
  await ended;
  const decoded = video.getVideoPlaybackQuality().totalVideoFrames - before;
  return { decoded, sizes, ended: video.currentTime, audioBytes: video.webkitAudioDecodedByteCount };
}
