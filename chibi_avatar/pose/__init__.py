"""Pose: read, draw, re-proportion, detect and author human poses as OpenPose keypoints (``POSE_KEYPOINT``).

======================  =========================================================================================
module                  what
======================  =========================================================================================
``keypoints``           the data (``Frame``, ``Person``) and every dialect that reads into and writes from it
``skeleton``            canonical proportions of a figure of 1.8 to 7 heads
``figure``              a pose written as directions and contacts, solved in 3D for any proportions
``library``             the poses that come with the pack, and their projection to a view and a canvas
``retarget``            a 2D pose given the proportions of a target in heads
``draw``                the skeleton picture that a pose ControlNet expects, per ControlNet
``silhouette``          the figure under the skeleton, for choosing a pose by eye
``rig``                 keypoints to bone rotations of a 3D avatar
``detect``              photos to keypoints, by whichever detector is installed
======================  =========================================================================================
"""
