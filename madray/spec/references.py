"""What each reference P_r is set by, and whether it is finite. No torch in here."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from madray.spec.base import OneOf, Positive, Settings, Size, refuse, refuse_at
from madray.spec.imported import Imported


class Reference(Settings):
    """What all references say of themselves."""

    implementation: ClassVar[str]
    finite: ClassVar[bool] = False
    """Whether draws come from a data set, without replacement within a draw."""
    from_data: ClassVar[bool] = False
    """Whether files of the user's must be read: by the driver alone, once, into the store."""

    kind: str


class Gaussian(Reference):
    """N(μ, Σ) in d dimensions; the standard normal where nothing else is said (the paper: d = 100)."""

    implementation: ClassVar[str] = "madray.references.analytic:GaussianReference"

    kind: Literal["gaussian"] = "gaussian"
    d: Size = Field(2, description="dimensions")
    mean: float | list[float] = Field(0.0, description="μ: one number for every dimension, or d numbers")
    covariance: float | list[float] | list[list[float]] = Field(
        1.0, description="Σ: one variance, d variances, or a d × d matrix"
    )

    @model_validator(mode="after")
    def _is_a_distribution(self) -> Gaussian:
        if fault := self.fault():
            raise refuse(*fault)
        return self

    def fault(self) -> tuple[str, str] | None:
        """What was expected and what was found, where μ and Σ make no distribution; None where they do.

        Σ may be singular: its eigenvalues are taken as 0 within rounding, 1e-9 of the largest.

        >>> Gaussian(d=2, covariance=[1, 0]).fault() is None
        True
        """
        mean = np.asarray(self.mean, np.float64)
        try:
            covariance = np.asarray(self.covariance, np.float64)
        except ValueError:  # rows of unequal length
            covariance = np.empty(0)
        if mean.shape not in ((), (self.d,)):
            return f"a mean of d = {self.d} numbers", f"{mean.size} numbers"
        if covariance.shape not in ((), (self.d,), (self.d, self.d)):
            return f"a covariance of {self.d} variances or {self.d} × {self.d} numbers", "another shape"
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
            return "finite numbers as mean and covariance", "nan or infinity"
        if not covariance.any():
            return "a variance above 0", "0 in every direction"
        if covariance.ndim < 2:
            smallest = float(covariance.min())
            return None if smallest >= 0 else ("variances of 0 or more", f"{smallest:g}")
        rounding = 1e-9 * float(np.abs(covariance).max())
        skew = np.abs(covariance - covariance.T)
        if skew.max() > rounding:
            i, j = np.unravel_index(skew.argmax(), skew.shape)
            return "a symmetric covariance", f"{covariance[i, j]:g} opposite {covariance[j, i]:g}"
        smallest = float(np.linalg.eigvalsh(covariance).min())
        if smallest < -rounding:
            return "a covariance without negative eigenvalues", f"{smallest:g}"
        return None


class GMM25(Reference):
    """25 modes on a 5 × 5 grid in the plane. Spacing and width are ours (Che et al. 2020 use 2 and 0.05)."""

    implementation: ClassVar[str] = "madray.references.analytic:GMM25Reference"

    kind: Literal["gmm25"] = "gmm25"
    spacing: Positive = Field(2.0, description="distance between neighbouring modes")
    std: Positive = Field(0.05, description="standard deviation of a mode")


class Rosenbrock(Reference):
    """The density exp(−x₁²/2 − (x₂ − x₁²)²), normalised, in the plane (the paper's Figure 17)."""

    implementation: ClassVar[str] = "madray.references.analytic:RosenbrockReference"

    kind: Literal["rosenbrock"] = "rosenbrock"


class Digits(Reference):
    """The 1,797 real 8 × 8 images of handwritten digits that scikit-learn carries."""

    implementation: ClassVar[str] = "madray.references.digits:read_digits"
    finite: ClassVar[bool] = True

    kind: Literal["digits"] = "digits"


class Torchvision(Reference):
    """A data set of torchvision's, under `--data` or MADRAY_DATA; downloaded only if `download` says so."""

    implementation: ClassVar[str] = "madray.references.torchvision:read_torchvision"
    finite: ClassVar[bool] = True
    from_data: ClassVar[bool] = True
    not_in_key: ClassVar[frozenset[str]] = frozenset({"download"})

    split: Literal["train", "test"] = Field(
        "train", description="which part of the data set is the reference"
    )
    download: bool = Field(False, description="fetch the data set where it is not in the data folder")


class MNIST(Torchvision):
    """60,000 images of handwritten digits, 28 × 28 (LeCun et al. 1998)."""

    kind: Literal["mnist"] = "mnist"


class FashionMNIST(Torchvision):
    """60,000 images of clothes, 28 × 28 (Xiao et al. 2017)."""

    kind: Literal["fashion_mnist"] = "fashion_mnist"


class CIFAR10(Torchvision):
    """50,000 colour images of ten kinds of things, 32 × 32 (Krizhevsky 2009)."""

    kind: Literal["cifar10"] = "cifar10"


class Images(Reference):
    """Images in a folder or a zip, of any size, cropped to the middle square and resized on reading.

    Where every image lies in a folder of its class (`cats/1.png`), and there are two classes or more, the
    folders are the labels, in the order of their names.
    """

    implementation: ClassVar[str] = "madray.references.images:read_images"
    finite: ClassVar[bool] = True
    from_data: ClassVar[bool] = True
    not_in_key: ClassVar[frozenset[str]] = frozenset({"path"})

    kind: Literal["images"] = "images"
    path: str = Field(description="a folder or a zip; relative to the data folder where one is given")
    size: Size = Field(description="height and width after reading, in pixels")
    colour: bool = Field(True, description="three channels, or one (grey)")
    labels: bool = Field(True, description="whether folders of classes are labels; false for mere subfolders")


class Parquet(Reference):
    """Rows of a Parquet file or of a folder of them: columns or lists of numbers, or encoded images."""

    implementation: ClassVar[str] = "madray.references.parquet:read_parquet"
    finite: ClassVar[bool] = True
    from_data: ClassVar[bool] = True
    not_in_key: ClassVar[frozenset[str]] = frozenset({"path"})

    kind: Literal["parquet"] = "parquet"
    path: str = Field(description="a file or a folder; relative to the data folder where one is given")
    values: str | list[str] | None = Field(
        None,
        description="columns of numbers, one a coordinate; or the column of lists of numbers, or of images "
        "({bytes, path} or bytes); else the first such, or all columns but the labels",
    )
    label: str | None = Field(None, description="column of integer labels; `label` where there is one")
    classes: Size | None = Field(None, description="number of classes; the largest label and 1 without")
    size: Size | None = Field(None, description="images: height and width after reading; as stored without")
    colour: bool = Field(True, description="images: three channels, or one (grey)")

    @model_validator(mode="after")
    def _columns_are_named_once(self) -> Parquet:
        if isinstance(self.values, list):
            if not self.values:
                raise refuse_at("values", "names of columns", self.values)
            named = [*self.values, *([self.label] if self.label else [])]
            if twice := [name for name in named if named.count(name) > 1]:
                raise refuse_at("values", "each column once, and not as the label too", twice[0])
        return self


class ImportedReference(Imported):
    """A reference of the user's own; `finite` and `from_data` are False: it makes its samples by itself."""

    @property
    def finite(self) -> bool:
        return False

    @property
    def from_data(self) -> bool:
        return False


FAMILIES: tuple[type[Reference], ...] = (
    Gaussian,
    GMM25,
    Rosenbrock,
    Digits,
    MNIST,
    FashionMNIST,
    CIFAR10,
    Images,
    Parquet,
)

ReferenceSettings = Annotated[Any, OneOf("reference", FAMILIES, ImportedReference)]
AnyReference = Reference | ImportedReference
