/** Tool poses in work coordinates, as `robot_env.geometry.WorkFrame` has them. Quaternions are x y z w. */

function multiply([ax, ay, az, aw], [bx, by, bz, bw]) {
  return [
    aw * bx + ax * bw + ay * bz - az * by,
    aw * by - ax * bz + ay * bw + az * bx,
    aw * bz + ax * by - ay * bx + az * bw,
    aw * bw - ax * bx - ay * by - az * bz,
  ];
}

const inverse = ([x, y, z, w]) => [-x, -y, -z, w];

function rotate(quat, [x, y, z]) {
  const [a, b, c] = multiply(multiply(quat, [x, y, z, 0]), inverse(quat));
  return [a, b, c];
}

/** A tool that points straight down, its x axis along the base's; its inverse turns a seated pose into axes. */
const UP_AGAIN = [-1, 0, 0, 0];

/**
 * Where a tool is from the seated pose, along the socket's axes [m].
 * @param {number[]} pose (7,) base frame @param {number[]} seated (7,) base frame
 */
export function inFrame(pose, seated) {
  const axes = multiply(seated.slice(3), UP_AGAIN);
  return rotate(inverse(axes), [0, 1, 2].map((index) => pose[index] - seated[index]));
}
