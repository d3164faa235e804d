"""What is asked of a motion: each term is a sum of squared residuals, or of their robust cost."""

from typing import Protocol, runtime_checkable

from repose.fitting.normal_equations import Joints, Lengths, NormalEquations
from repose.fitting.terms.constant_bones import ConstantBones, Symmetry
from repose.fitting.terms.given_motion import GivenMotion
from repose.fitting.terms.ground import Floor, RestingFeet
from repose.fitting.terms.network_prior import NetworkPrior, RootPrior
from repose.fitting.terms.reprojection import Reprojection
from repose.fitting.terms.smoothness import Smoothness
from repose.fitting.terms.straight_knees import StraightKnees

__all__ = [
    "ConstantBones",
    "Floor",
    "GivenMotion",
    "NetworkPrior",
    "Reprojection",
    "RestingFeet",
    "RootPrior",
    "Smoothness",
    "StraightKnees",
    "Symmetry",
    "Term",
]


@runtime_checkable
class Term(Protocol):
    """One part of the cost of joints (camera frame, metres) and bone lengths (metres)."""

    def cost(self, joints_m: Joints, lengths_m: Lengths) -> float:
        """Half the sum of its squared residuals; less for outliers."""

    def add(self, joints_m: Joints, lengths_m: Lengths, normal: NormalEquations) -> None:
        """Add its Gauss-Newton equations at these joints and lengths, reweighted."""
